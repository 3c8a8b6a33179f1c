// SPDX-License-Identifier: MIT
// Salvage, so that a crash in it leaves no torn message.
//
// B is the size of the spool M when salvage began. The octets to append follow from [0, B) and the journal alone.
//  1. B and a hash of the octets before it go to the file `salvage`, synced, before M is touched.
//  2. The missing messages are written at B, M is synced. A crash leaves M ending at B, or some of the octets, zeros where
//     they did not reach the disk.
//  3. The caller removes `salvage` and sets the journal aside.
// Called again, with a file `salvage` that fits M: when what stands behind B is a part of the octets, they are written
// again. When something else follows, mail was delivered behind them: they are written as far as they came, and salvage
// begins anew behind that mail. Only a message that was written in part stays torn then, beside its whole copy.
#include "common/spool/salvage.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <vector>

#include "common/mbox/scanner.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using listing::Record;

constexpr Magic kSalvageMagic{'Q', 'P', 'O', 'P', 'S', 'A', 'L', '\n'};
constexpr std::uint64_t kBeforeSpan = 64UL * 1024;
/// How often mail may come under our hands before we leave the journal for later.
constexpr int kMaxRounds = 8;

struct Beginning {
  Magic magic = kSalvageMagic;
  std::uint64_t size = 0;  ///< B
  std::uint64_t seed = 0;
  digest::Digest16 before_hash{};  ///< of the last min(kBeforeSpan, B) octets before B
  digest::Digest16 whole_hash{};   ///< of the fields above
};
static_assert(sizeof(Beginning) == 56);

digest::Digest16 whole_hash(const Beginning& beginning) {
  return digest::xxh3_128(view_of_object(beginning).substr(0, offsetof(Beginning, whole_hash)), beginning.seed);
}

Result<digest::Digest16> hash_before(const Context& context, MailLock& lock, std::uint64_t end, std::uint64_t seed) {
  return hash_range(context, lock, lock.fd(), end - std::min(end, kBeforeSpan), end, seed);
}

/// Messages of an open file from `base` to `end`, offsets counted from `base`. Empty when it is no mailbox.
Result<std::vector<Record>> messages_of(const Context& context, MailLock& lock, int fd, std::uint64_t base,
                                        std::uint64_t end) {
  mbox::Scanner scanner{{}, [&](std::uint64_t offset, std::span<char> out) -> Result<std::size_t> {
                          if (base + offset >= end) return std::size_t{0};
                          const auto room =
                              static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), end - base - offset));
                          return read_up_to(context.fs, fd, out.first(room), base + offset);
                        }};
  auto fed = for_each_piece(context.fs, fd, base, end, [&](std::string_view piece) {
    lock.refresh();
    return scanner.feed(piece);
  });
  auto found = fed ? scanner.finish() : Result<mbox::ScanResult>{fed.error()};
  if (found) return std::move(found->records);
  if (found.error().kind() == ErrorKind::malformed) return std::vector<Record>{};
  return found.error();
}

/// The digest of a message knows a part of its body only; half moved mail can have it and not be it.
using Content = std::pair<digest::Digest16, digest::Digest16>;

Result<Content> content_of(const Context& context, MailLock& lock, int fd, std::uint64_t base,
                           const std::vector<Record>& records, std::size_t i, std::uint64_t end, std::uint64_t seed) {
  const Record& record = records[i];
  const std::uint64_t from = record.offset + record.content_start + record.header_length;
  const std::uint64_t to = (i + 1 < records.size() ? records[i + 1].offset : end) - record.trailer;
  auto body = hash_range(context, lock, fd, base + std::min(from, to), base + to, seed);
  if (!body) return body.error();
  return Content{record.digest, *body};
}

/// What has to stand at `at`: first what the spool lacks at its end, then the missing messages.
struct Missing {
  std::uint64_t at = 0;
  std::string gap;
  std::vector<Range> messages;  ///< of the journal file
  std::size_t held = 0;
  [[nodiscard]] std::uint64_t end() const { return at + gap.size() + total_length(messages); }
};

Result<Missing> find_missing(const Context& context, MailLock& lock, const Journal& journal, std::uint64_t size) {
  const Piece mail = journal.mail();
  auto present = messages_of(context, lock, lock.fd(), 0, size);
  if (!present) return present.error();
  auto held = messages_of(context, lock, mail.fd, mail.offset, mail.offset + mail.length);
  if (!held) return held.error();
  std::map<Content, std::size_t> have;
  for (std::size_t i = 0; i < present->size(); ++i) {
    auto content = content_of(context, lock, lock.fd(), 0, *present, i, size, journal.header().seed);
    if (!content) return content.error();
    ++have[*content];
  }
  Missing out;
  out.at = size;
  out.held = held->size();
  for (std::size_t i = 0; i < held->size(); ++i) {
    auto content = content_of(context, lock, mail.fd, mail.offset, *held, i, mail.length, journal.header().seed);
    if (!content) return content.error();
    if (auto& left = have[*content]; left > 0) {
      --left;
      continue;
    }
    const auto start = (*held)[i].offset;
    const auto end = i + 1 < held->size() ? (*held)[i + 1].offset : mail.length;
    out.messages.push_back({.offset = mail.offset + start, .length = end - start});
  }
  if (out.messages.empty()) return out;
  // In MMDF the last message decides whether a closing separator is missing.
  const std::uint8_t last_trailer = present->empty() ? 1 : present->back().trailer;
  auto gap = missing_end(context.fs, lock.fd(), size, journal.header().format, last_trailer);
  if (!gap) return gap.error();
  out.gap = std::move(*gap);
  return out;
}

/// Hands out the octets of `missing` with their place in the spool.
Status for_each_missing(const Context& context, int journal_fd, const Missing& missing,
                        const std::function<Status(std::string_view, std::uint64_t)>& take) {
  std::uint64_t to = missing.at;
  const auto put = [&](std::string_view bytes) -> Status {
    auto taken = take(bytes, to);
    to += bytes.size();
    return taken;
  };
  if (auto done = put(missing.gap); !done) return done;
  for (const auto& message : missing.messages) {
    auto done = for_each_piece(context.fs, journal_fd, message.offset, message.offset + message.length, put);
    if (!done) return done;
  }
  return {};
}

/// How far behind missing.at the spool holds what we would write there, or zeros in its place.
Result<std::uint64_t> own_until(const Context& context, MailLock& lock, int journal_fd, const Missing& missing,
                                std::uint64_t size) {
  std::uint64_t until = missing.at;
  std::string there;
  auto read = for_each_missing(context, journal_fd, missing, [&](std::string_view bytes, std::uint64_t at) -> Status {
    if (at != until) return {};  // it ended before
    there.resize(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), size - std::min(size, at))));
    if (auto got = read_exactly(context.fs, lock.fd(), there, at); !got) return got;
    std::size_t same = 0;
    while (same < there.size() && (there[same] == bytes[same] || there[same] == '\0')) ++same;
    until += same;
    return {};
  });
  if (!read) return read.error();
  return until;
}

/// Writes what is missing as far as `until`, durably. Errors: changed (mail came without locks and stands where we would
/// have written next). Between this look at the size and the write only a lease helps. `reached`: end of the last write.
Status write_missing(const Context& context, MailLock& lock, int journal_fd, const Missing& missing, std::uint64_t until,
                     std::uint64_t size, std::uint64_t& reached) {
  reached = missing.at;
  auto written = for_each_missing(context, journal_fd, missing, [&](std::string_view bytes, std::uint64_t at) -> Status {
    lock.refresh();
    if (at >= until || bytes.empty()) return {};
    auto now = size_of(context.fs, lock.fd());
    if (!now) return now.error();
    if (*now != std::max(size, at)) return Error{ErrorKind::changed, "the spool grew without its locks being taken"};
    const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), until - at));
    reached = at + room;
    return write_all(context.fs, lock.fd(), bytes.substr(0, room), at);
  });
  return written ? again([&] { return context.fs.sync(lock.fd()); }) : written;
}

/// The size at which an earlier salvage of this spool began. Empty: there was none.
Result<std::optional<std::uint64_t>> earlier_beginning(const Context& context, int folder, MailLock& lock,
                                                       std::uint64_t size) {
  const std::optional<std::uint64_t> none;
  auto fd = again([&] { return context.fs.open_at(folder, kSalvageName, O_RDONLY | O_NONBLOCK, 0); });
  if (!fd && fd.error().kind() == ErrorKind::not_found) return none;
  if (!fd) return fd.error();
  Beginning beginning;
  auto got = read_up_to(context.fs, fd->get(), span_of_object(beginning), 0);
  if (!got) return got.error();
  const bool valid = *got == sizeof beginning && beginning.magic == kSalvageMagic &&
                     whole_hash(beginning) == beginning.whole_hash && beginning.size <= size;
  if (!valid) return none;
  auto hash = hash_before(context, lock, beginning.size, beginning.seed);
  if (!hash) return hash.error();
  return *hash == beginning.before_hash ? std::optional{beginning.size} : none;
}

/// Step 1.
Status record_beginning(const Context& context, int folder, MailLock& lock, std::uint64_t size) {
  FileSystem& fs = context.fs;
  Beginning beginning;
  beginning.size = size;
  digest::random_bytes({reinterpret_cast<std::byte*>(&beginning.seed), sizeof beginning.seed});
  auto hash = hash_before(context, lock, size, beginning.seed);
  if (!hash) return hash.error();
  beginning.before_hash = *hash;
  beginning.whole_hash = whole_hash(beginning);
  auto fd = again([&] { return fs.open_at(folder, kSalvageName, O_RDWR | O_CREAT | O_NONBLOCK, 0600); });
  if (!fd) return fd.error();
  if (auto put = write_all(fs, fd->get(), view_of_object(beginning), 0); !put) return put;
  if (auto synced = again([&] { return fs.sync(fd->get()); }); !synced) return synced;
  return again([&] { return fs.sync_directory(folder); });
}

/// What is to be appended; its beginning is recorded.
Result<Missing> plan_salvage(const Context& context, const MaildropPaths& paths, MailLock& lock, const Journal& journal,
                             std::uint64_t size) {
  auto earlier = earlier_beginning(context, paths.state_folder_fd, lock, size);
  if (!earlier) return earlier.error();
  auto missing = find_missing(context, lock, journal, earlier->value_or(size));
  if (!missing) return missing.error();
  if (earlier->has_value() && **earlier < size) {
    auto until = own_until(context, lock, journal.mail().fd, *missing, size);
    if (!until) return until.error();
    if (*until < size) {
      // Mail was delivered behind octets of ours that may be zeros now; it must not be read as a part of them.
      std::uint64_t reached = 0;
      auto put = write_missing(context, lock, journal.mail().fd, *missing, *until, size, reached);
      if (!put) return put.error();
      missing = find_missing(context, lock, journal, size);
      if (!missing) return missing.error();
      *earlier = std::nullopt;
    }
  }
  if (missing->messages.empty() || earlier->has_value()) return missing;
  if (auto put = record_beginning(context, paths.state_folder_fd, lock, size); !put)
    return put.error().at("record the beginning of the salvage");
  return missing;
}

/// Step 2. Errors: changed (as above; what was written are parts of the octets in their place, as after a crash).
Status append_missing(const Context& context, MailLock& lock, int journal_fd, const Missing& missing,
                      std::uint64_t size) {
  if (missing.messages.empty()) return {};
  std::uint64_t reached = 0;
  auto written = write_missing(context, lock, journal_fd, missing, missing.end(), size, reached);
  if (written || written.error().kind() == ErrorKind::changed) return written;
  // What was written is torn, and new mail would be glued to it. Unless it has come already.
  const auto now = size_of(context.fs, lock.fd());
  if (now && *now <= std::max(size, reached)) static_cast<void>(again([&] { return context.fs.truncate(lock.fd(), missing.at); }));
  return written.error().at("append mail of the journal");
}

}  // namespace

Result<Salvaged> salvage(const Context& context, const MaildropPaths& paths, MailLock& lock, const Journal& journal) {
  for (int round = 0; round < kMaxRounds; ++round) {
    auto size = size_of(context.fs, lock.fd());
    if (!size) return size.error();
    auto missing = plan_salvage(context, paths, lock, journal, *size);
    if (!missing) return missing.error();
    auto put = append_missing(context, lock, journal.mail().fd, *missing, *size);
    if (!put && put.error().kind() == ErrorKind::changed) continue;
    if (!put) return put.error();
    // The other program may have put a new file in the place of the old one, and its name not be durable.
    if (auto synced = sync_spool_name(context.fs, paths); !synced) return synced.error();
    return Salvaged{.held = missing->held, .appended = missing->messages.size()};
  }
  return Error{ErrorKind::busy, "the spool grows without its locks being taken"};
}

Status end_salvage(const Context& context, int state_folder_fd) {
  auto removed = again([&] { return context.fs.unlink_at(state_folder_fd, kSalvageName); });
  if (!removed && removed.error().kind() == ErrorKind::not_found) return {};
  // Before the journal goes, or it could come back and stay without one.
  return removed ? again([&] { return context.fs.sync_directory(state_folder_fd); }) : removed;
}

}  // namespace qpop::spool
