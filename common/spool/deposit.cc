// SPDX-License-Identifier: MIT
// Taking over a temporary drop D into the spool M.
//
//  1. D is locked as Qpopper locks it (flock), so that none is at work on it. D and M must both be mailboxes of one format.
//  2. The messages of D that M lacks are appended (salvage.cc), durably, the last one with a proper end. A crash leaves M as it was, or some of the octets, which the next
//     salvage writes again; D is as it was.
//  3. All of them were appended, and M held mail before: the two parts change places, under a data journal. A crash leaves the order old
//     or, by recovery, new. On a full disk the order stays.
//  4. D is cut to nothing, synced; its name goes when the folder lets us. A crash before: step 2 finds all of it in M, appends nothing,
//     and so step 3 does nothing.
// Not all of them were appended: D is the copy of M that a Qpopper was making, or the order was changed already. M stays in its order.
#include "common/spool/deposit.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "common/mbox/scanner.h"
#include "common/spool/data_journal.h"
#include "common/spool/index.h"
#include "common/spool/recovery.h"
#include "common/spool/salvage.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;
using listing::SpoolFormat;

/// Mail of another file, in the clothes of a journal whose messages are to be salvaged.
class ForeignMail final : public Journal {
 public:
  ForeignMail(int fd, std::uint64_t size, SpoolFormat format) : fd_(fd), size_(size) {
    header_.format = format;
    digest::random_bytes({reinterpret_cast<std::byte*>(&header_.seed), sizeof header_.seed});
  }
  Status move(const Context&, MailLock&) override { return {}; }
  Status drop(const Context&, int) override { return {}; }
  [[nodiscard]] Piece mail() const override { return {.fd = fd_, .offset = 0, .length = size_}; }

 protected:
  Result<SpoolState> compare(const Context&, MailLock&, std::uint64_t) override { return SpoolState::foreign; }

 private:
  int fd_;
  std::uint64_t size_;
};

Status check_drop(const FileStatus& status, std::uint32_t owner) {
  if (!S_ISREG(status.mode)) return Error{ErrorKind::unsafe, "not a regular file"};
  if (status.owner != owner) return Error{ErrorKind::unsafe, fmt::format("belongs to uid {}, not {}", status.owner, owner)};
  if (status.links > 1) return Error{ErrorKind::unsafe, fmt::format("has {} links", status.links)};
  return {};
}

Result<mbox::ScanResult> scan_file(const Context& context, MailLock& lock, int fd, std::uint64_t end) {
  mbox::Scanner scanner{{}, [&](std::uint64_t offset, std::span<char> out) { return read_up_to(context.fs, fd, out, offset); }};
  auto fed = for_each_piece(context.fs, fd, 0, end, [&](std::string_view piece) {
    lock.refresh();
    return scanner.feed(piece);
  });
  if (!fed) return fed.error();
  return scanner.finish();
}

/// Step 2, without a look at what the octets are.
Result<Salvaged> append(const Context& context, const MaildropPaths& paths, MailLock& lock, const ForeignMail& mail) {
  auto salvaged = salvage(context, paths, lock, mail);
  if (!salvaged) return salvaged;
  if (auto ended = end_salvage(context, paths.state_folder_fd); !ended) return ended.error();
  return salvaged;
}

/// Step 3. `split`: where the appended messages begin. false: no room for the journal, or an end that is none; nothing was moved.
Result<bool> change_places(const Context& context, const MaildropPaths& paths, MailLock& lock, SpoolFormat format, std::uint64_t first,
                     std::uint64_t split, std::uint8_t last_trailer, Warnings& warnings) {
  auto size = size_of(context.fs, lock.fd());
  if (!size) return size.error();
  // Other mail would be glued to it.
  auto missing = missing_end(context.fs, lock.fd(), *size, format, last_trailer);
  if (!missing) return missing.error();
  if (!missing->empty()) return false;
  const std::uint64_t end = *size;
  lock.take_lease();
  const JournalPlan plan{.first = first,
                         .old_size = end,
                         .format = format,
                         .open_end = false,
                         .kept = {{.offset = split, .length = end - split}, {.offset = first, .length = split - first}}};
  // Only a journal that holds the octets can bring them into another order.
  auto journal = DataJournal::commit(context, paths, lock, plan, false);
  if (!journal && journal.error().kind() == ErrorKind::no_space) return false;
  if (!journal) return journal.error();
  // From here on the spool may be half moved, and recovery must come before anybody reads it: whatever the reason, this is a failure.
  auto done = carry_out(context, paths, lock, std::move(*journal), warnings);
  if (!done) return Error{ErrorKind::io, done.error().message()};
  return true;
}

/// Step 4. `taken`: what was scanned. Who appended meanwhile, a delivery agent that still writes there, must not lose it.
Status empty_drop(const Context& context, const LeftOver& drop, int fd, const FileStatus& taken) {
  FileSystem& fs = context.fs;
  auto now = again([&] { return fs.status(fd); });
  if (!now) return now.error().at("empty the temporary drop", drop.name);
  if (now->identity.size != taken.identity.size || now->identity.mtime_ns != taken.identity.mtime_ns)
    return Error{ErrorKind::changed, "somebody wrote into it"}.at("empty the temporary drop", drop.name);
  if (auto cut = again([&] { return fs.truncate(fd, 0); }); !cut) return cut.error().at("empty the temporary drop", drop.name);
  if (auto synced = again([&] { return fs.sync(fd); }); !synced) return synced.error().at("empty the temporary drop", drop.name);
  // In most spool folders users may not remove a name; an empty file does no harm.
  static_cast<void>(again([&] { return fs.unlink_at(drop.folder_fd, drop.name); }));
  return {};
}

/// A copy of D whose last message ends as a message must, so that M's may stand behind it. What is appended to M has to be the same at
/// each try: an end that is written later can be lost alone, and the message would not be known again. Empty: D ends well, or is too large.
Result<UniqueFd> with_proper_end(const Context& context, MailLock& lock, int fd, std::uint64_t size, const mbox::ScanResult& mail, std::uint64_t& copied) {
  constexpr std::uint64_t kMost = 256UL * 1024 * 1024;
  auto missing = missing_end(context.fs, fd, size, mail.format, mail.records.empty() ? std::uint8_t{1} : mail.records.back().trailer);
  if (!missing) return missing.error();
  if (missing->empty() || size > kMost) return UniqueFd{};
  auto copy = again([&] { return context.fs.memory_file(); });
  if (!copy) return copy.error();
  auto done = copy_octets(context.fs, fd, 0, copy->get(), 0, size, [&](std::string_view) { lock.refresh(); });
  if (done) done = write_all(context.fs, copy->get(), *missing, size);
  if (!done) return done.error();
  copied = size + missing->size();
  return copy;
}

/// Is M a mailbox of this format, or empty? After a power loss in step 2 it may hold zeros in the place of what was written; then the salvage
/// that stands puts it right before anybody can judge.
Status check_format(const Context& context, const MaildropPaths& paths, MailLock& lock, SpoolFormat format) {
  auto interrupted = exists(context.fs, paths.state_folder_fd, kSalvageName);
  if (!interrupted) return interrupted.error();
  if (*interrupted) return {};
  auto listing = list_spool(context, paths, lock);
  if (!listing) return listing.error();
  if (listing->records.empty() || listing->header.format == format) return {};
  return Error{ErrorKind::malformed, "one is mbox, the other MMDF"}.at("temporary drop or bulletin, and spool");
}

Result<TakenOver> move_into_spool(const Context& context, const MaildropPaths& paths, MailLock& lock, int fd, std::uint64_t size,
                                  Warnings& warnings) {
  auto mail = scan_file(context, lock, fd, size);
  if (!mail) return mail.error().at("temporary drop");
  if (auto fits = check_format(context, paths, lock, mail->format); !fits) return fits.error();
  auto copy = with_proper_end(context, lock, fd, size, *mail, size);
  if (!copy) return copy.error().at("temporary drop");
  auto salvaged = append(context, paths, lock, ForeignMail{copy->valid() ? copy->get() : fd, size, mail->format});
  if (!salvaged) return salvaged.error();
  TakenOver out;
  out.held = salvaged->held;
  out.appended = salvaged->appended;
  auto after = list_spool(context, paths, lock);
  if (!after) return after.error();
  const auto& records = after->records;
  if (out.appended == 0 || records.size() == out.appended) return out;
  out.in_order = false;
  if (out.appended != out.held || records.size() < out.appended) return out;
  const std::uint64_t split = records[records.size() - out.appended].offset;
  auto moved = change_places(context, paths, lock, mail->format, records.front().offset, split, records.back().trailer, warnings);
  if (!moved) return moved.error().at("put the mail of the temporary drop in front");
  out.in_order = *moved;
  return out;
}

}  // namespace

Result<bool> has_mail(const Context& context, const MaildropPaths& paths, const LeftOver& drop, Warnings& warnings) {
  auto status = again([&] { return context.fs.status_at(drop.folder_fd, drop.name); });
  // Where the user may not look, his Qpopper could not write.
  const bool none = !status && (status.error().kind() == ErrorKind::not_found || status.error().kind() == ErrorKind::denied);
  if (none) return false;
  if (!status) return status.error().at("temporary drop", drop.name);
  if (status->identity.size == 0 && S_ISREG(status->mode)) return false;
  if (!S_ISREG(status->mode) || status->owner != paths.owner_uid) {
    warnings.push_back(fmt::format("{} is no temporary drop of uid {} (it is of uid {}); left alone", drop.name, paths.owner_uid, status->owner));
    return false;
  }
  // A configuration may lead both to one file: all of its mail is "in the spool already" then, and cutting it would lose it.
  auto spool = again([&] { return context.fs.status_at(paths.spool_folder_fd, paths.spool_name); });
  if (spool && spool->same_file(*status)) {
    warnings.push_back(fmt::format("temp-dir and temp-name lead to {}, which is the spool itself; left alone", drop.name));
    return false;
  }
  if (auto fit = check_drop(*status, paths.owner_uid); !fit) return fit.error().at("temporary drop", drop.name);
  return true;
}

Result<TakenOver> take_over(const Context& context, const MaildropPaths& paths, MailLock& lock, const LeftOver& drop, Warnings& warnings) {
  FileSystem& fs = context.fs;
  auto fd = again([&] { return fs.open_at(drop.folder_fd, drop.name, O_RDWR | O_NONBLOCK, 0); });
  if (!fd) return fd.error().at("temporary drop", drop.name);
  auto locked = again([&] { return fs.try_flock(fd->get()); });
  if (!locked) return locked.error().at("temporary drop", drop.name);
  if (!*locked) return Error{ErrorKind::busy, fmt::format("{}a Qpopper holds the temporary drop", kOtherSession)};
  auto status = again([&] { return fs.status(fd->get()); });
  if (!status) return status.error().at("temporary drop", drop.name);
  if (auto fit = check_drop(*status, paths.owner_uid); !fit) return fit.error().at("temporary drop", drop.name);
  auto spool = again([&] { return fs.status(lock.fd()); });
  if (!spool) return spool.error();
  if (spool->same_file(*status)) return Error{ErrorKind::unsafe, "it is the spool itself"}.at("temporary drop", drop.name);
  // A Qpopper may have put it back meanwhile.
  if (status->identity.size == 0) return TakenOver{};
  auto moved = move_into_spool(context, paths, lock, fd->get(), status->identity.size, warnings);
  if (!moved) return moved.error().at("take over", drop.name);
  if (auto emptied = empty_drop(context, drop, fd->get(), *status); !emptied) return emptied.error();
  return moved;
}

Result<std::size_t> append_messages(const Context& context, const MaildropPaths& paths, MailLock& lock, const std::string& messages) {
  if (auto fits = check_format(context, paths, lock, SpoolFormat::mbox); !fits) return fits.error();
  auto fd = again([&] { return context.fs.memory_file(); });
  if (!fd) return fd.error();
  if (auto put = write_all(context.fs, fd->get(), messages, 0); !put) return put.error();
  auto salvaged = append(context, paths, lock, ForeignMail{fd->get(), messages.size(), SpoolFormat::mbox});
  if (!salvaged) return salvaged.error();
  return salvaged->appended;
}

}  // namespace qpop::spool
