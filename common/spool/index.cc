// SPDX-License-Identifier: MIT
// The index of a maildrop.
#include "common/spool/index.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "common/mbox/unique_id.h"
#include "common/spool/naming.h"
#include "common/spool/split_scan.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;
using listing::ListingHeader;
using listing::Record;
using listing::SpoolFormat;
using listing::SpoolIdentity;

constexpr std::int64_t kYoungNs = 50'000'000;
constexpr std::int64_t kYoungSecondsNs = 2'000'000'000;
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
/// A writer without locks may append while we scan; more rounds than this and it is not worth following.
constexpr int kMaxRounds = 3;
constexpr std::size_t kRoomForNew = 1024;
constexpr std::int64_t kNanosPerMinute = 60 * kNanosPerSecond;
/// Should a disk lose what it had accepted, and be mounted again under the same kernel, nobody is misled for longer.
constexpr std::uint32_t kCompareMinutes = 60;
constexpr std::size_t kRecordsAtOnce = 512;

template <class T>
std::span<char> bytes_of(T& object) {
  return {reinterpret_cast<char*>(&object), sizeof object};
}

std::uint32_t minutes_now(const Context& context) { return static_cast<std::uint32_t>(context.clock.realtime_ns() / kNanosPerMinute); }

/// The index is not synced when it is written: after a power loss its records may be anything. Not before one.
bool were_compared(const Context& context, const ListingHeader& header) {
  const auto now = minutes_now(context);
  return context.boot != 0 && header.boot == context.boot && header.compared_min <= now && now - header.compared_min < kCompareMinutes;
}

void set_compared(const Context& context, ListingHeader& header) {
  header.boot = context.boot;
  header.compared_min = minutes_now(context);
}

/// For the next open. In place: the header is one sector, and one that is torn is not believed.
void note_compared(const Context& context, int state_folder_fd, UsableIndex& index) {
  if (context.boot == 0) return;
  set_compared(context, index.header);
  listing::extend_header(index.header, {}, index.header.records_hash);
  auto writer = again([&] { return context.fs.open_at(state_folder_fd, kIndexName, O_WRONLY | O_NONBLOCK, 0); });
  if (writer) static_cast<void>(write_all(context.fs, writer->get(), {reinterpret_cast<const char*>(&index.header), sizeof index.header}, 0));
}

struct KnownListing {
  ListingHeader header;
  std::vector<Record> records;
};

std::optional<KnownListing> read_index(const Context& context, int state_folder_fd) {
  auto index = open_index_header(context.fs, state_folder_fd);
  if (!index) return std::nullopt;
  KnownListing known{.header = index->header, .records = {}};
  // With room for new ones: touching fresh memory costs more than anything else that is done to an index.
  known.records.reserve(index->header.count + kRoomForNew);
  known.records.resize(index->header.count);
  const std::span<char> bytes{reinterpret_cast<char*>(known.records.data()), known.records.size() * sizeof(Record)};
  if (!read_exactly(context.fs, index->fd.get(), bytes, sizeof(ListingHeader))) return std::nullopt;
  if (listing::hash_records(known.records) != known.header.records_hash) return std::nullopt;
  return known;
}

/// Same file, longer, the old end looks as it did and a message starts there.
Result<bool> has_only_grown(const Context& context, int fd, const ListingHeader& known, const SpoolIdentity& now) {
  if (known.count == 0 || known.spool.device != now.device || known.spool.inode != now.inode) return false;
  if (known.end != known.spool.size || now.size <= known.end) return false;
  auto hash = tail_hash(context.fs, fd, known.end);
  if (!hash) return hash.error();
  if (*hash != known.tail_hash) return false;
  return boundary_at(context.fs, fd, known.end, known.format);
}

/// Notes in `header` which spool was scanned.
Status describe(const Context& context, MailLock& lock, const SpoolIdentity& identity, SpoolFormat format, ListingHeader& header) {
  auto hash = tail_hash(context.fs, lock.fd(), identity.size);
  if (!hash) return hash.error();
  header.end = identity.size;
  header.spool = identity;
  header.tail_hash = *hash;
  header.format = format;
  return {};
}

/// One look at the spool as it is with `identity`; `known` is what the index says, if anything.
Result<SpoolListing> list_once(const Context& context, const MaildropPaths& paths, MailLock& lock, const SpoolIdentity& identity,
                               std::optional<KnownListing> known) {
  SpoolListing out;
  if (known && known->header.spool == identity && known->header.young == 0) {
    out.header = known->header;
    out.records = std::move(known->records);
    out.source = ListingSource::from_index;
    return out;
  }
  mbox::ScanStart start;
  if (known) {
    auto grown = has_only_grown(context, lock.fd(), known->header, identity);
    if (!grown) return grown.error();
    if (*grown) {
      start = {.offset = known->header.end, .format = known->header.format};
      out.source = ListingSource::grown;
      out.records = std::move(known->records);
    }
  }
  auto found = scan_spool(context, lock, start, identity.size);
  if (!found) return found.error();
  const std::size_t named_already = out.records.size();
  if (named_already == 0) {
    out.records = std::move(found->records);
  } else {
    out.records.insert(out.records.end(), found->records.begin(), found->records.end());
  }
  const bool grown = out.source == ListingSource::grown;
  auto named = grown ? name_new_messages(context, paths, lock.fd(), out.records, named_already)
                     : name_messages(context, paths, lock.fd(), out.records, known ? &known->records : nullptr);
  if (!named) return named.error();
  if (auto described = describe(context, lock, identity, found->format, out.header); !described) return described.error();
  out.octets_scanned = identity.size - start.offset;
  return out;
}

/// Names `fresh`, messages behind those of the index, and gives the hash of all records; nothing when the index is not sound.
std::optional<digest::Digest16> name_behind(const Context& context, const UsableIndex& index, std::vector<Record>& fresh) {
  mbox::UniqueIdsBehind ids{fresh};
  digest::Xxh3Stream hash;
  std::array<Record, kRecordsAtOnce> known;
  for (std::uint64_t at = 0; at < index.header.count; at += known.size()) {
    const auto piece = std::span{known}.first(static_cast<std::size_t>(std::min<std::uint64_t>(known.size(), index.header.count - at)));
    const std::span<char> octets{reinterpret_cast<char*>(piece.data()), piece.size_bytes()};
    if (!read_exactly(context.fs, index.fd.get(), octets, sizeof(ListingHeader) + at * sizeof(Record))) return std::nullopt;
    hash.add({octets.data(), octets.size()});
    for (const auto& record : piece) ids.see(record);
  }
  if (hash.result() != index.header.records_hash) return std::nullopt;
  ids.give(fresh);
  hash.add({reinterpret_cast<const char*>(fresh.data()), fresh.size() * sizeof(Record)});
  return hash.result();
}

/// Appends to the file of the index. Half of it done, the length of the file does not fit its header, and it is as good as absent.
Status append_to_index(const Context& context, int state_folder_fd, const UsableIndex& index, const ListingHeader& header, std::span<const Record> fresh) {
  auto writer = again([&] { return context.fs.open_at(state_folder_fd, kIndexName, O_WRONLY | O_NONBLOCK, 0); });
  if (!writer) return writer.error();
  const std::uint64_t end = sizeof(ListingHeader) + index.header.count * sizeof(Record);
  if (auto put = write_all(context.fs, writer->get(), {reinterpret_cast<const char*>(fresh.data()), fresh.size_bytes()}, end); !put) {
    static_cast<void>(context.fs.truncate(writer->get(), end));  // no room: what was known stays known
    return put;
  }
  if (auto put = write_all(context.fs, writer->get(), {reinterpret_cast<const char*>(&header), sizeof header}, 0); !put) return put;
  return context.fs.close(std::move(*writer));
}

Status write_listing(const Context& context, int fd, SpoolListing& listing) {
  set_compared(context, listing.header);
  listing::seal_header(listing.header, listing.records);
  if (auto put = write_all(context.fs, fd, {bytes_of(listing.header).data(), sizeof listing.header}, 0); !put)
    return put;
  const std::string_view records{reinterpret_cast<const char*>(listing.records.data()),
                                 listing.records.size() * sizeof(Record)};
  return write_all(context.fs, fd, records, sizeof listing.header);
}

Result<UniqueFd> write_index_file(const Context& context, int state_folder_fd, SpoolListing& listing) {
  FileSystem& fs = context.fs;
  const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK;
  auto fd = again([&] { return fs.open_at(state_folder_fd, kIndexTemporaryName, flags, 0600); });
  if (!fd) return fd.error();
  if (auto put = write_listing(context, fd->get(), listing); !put) return put.error();
  if (auto closed = fs.close(std::move(*fd)); !closed) return closed.error();
  auto reader = again([&] { return fs.open_at(state_folder_fd, kIndexTemporaryName, O_RDONLY | O_NONBLOCK, 0); });
  if (!reader) return reader.error();
  auto renamed = again([&] { return fs.rename_at(state_folder_fd, kIndexTemporaryName, kIndexName); });
  if (!renamed) return renamed.error();
  return reader;
}

}  // namespace

bool is_young(const SpoolIdentity& identity, std::int64_t now_ns) {
  const std::int64_t age = now_ns - identity.mtime_ns;
  return age < kYoungNs || (identity.mtime_ns % kNanosPerSecond == 0 && age < kYoungSecondsNs);
}

Result<bool> records_are_sound(const Context& context, int fd, const ListingHeader& header) {
  digest::Xxh3Stream hash;
  const std::uint64_t end = sizeof(ListingHeader) + header.count * listing::kRecordSize;
  auto read = for_each_piece(context.fs, fd, sizeof(ListingHeader), end, [&](std::string_view piece) -> Status {
    hash.add(piece);
    return {};
  });
  if (!read) return read.error();
  return hash.result() == header.records_hash;
}

Result<UsableIndex> open_index_header(FileSystem& fs, int state_folder_fd) {
  auto fd = again([&] { return fs.open_at(state_folder_fd, kIndexName, O_RDONLY | O_NONBLOCK, 0); });
  if (!fd) return fd.error();
  auto status = again([&] { return fs.status(fd->get()); });
  if (!status) return status.error();
  if (!S_ISREG(status->mode)) return Error{ErrorKind::unsafe, "the index is not a regular file"};
  UsableIndex opened;
  if (auto read = read_exactly(fs, fd->get(), bytes_of(opened.header), 0); !read) return read.error();
  if (auto sound = listing::check_header(opened.header, status->identity.size); !sound) return sound.error();
  opened.fd = std::move(*fd);
  return opened;
}

std::optional<UsableIndex> open_index(const Context& context, int state_folder_fd, const SpoolIdentity& identity, bool compare) {
  auto index = open_index_header(context.fs, state_folder_fd);
  if (!index || index->header.spool != identity || index->header.young != 0) return std::nullopt;
  const bool known = were_compared(context, index->header);
  if (known && !compare) return std::move(*index);
  if (auto sound = records_are_sound(context, index->fd.get(), index->header); !sound || !*sound) return std::nullopt;
  if (!known) note_compared(context, state_folder_fd, *index);
  return std::move(*index);
}

std::optional<UsableIndex> grow_index(const Context& context, const MaildropPaths& paths, MailLock& lock) {
  // Unique-ids of other forms are compared with all that are taken.
  if (paths.unique_id_form != mbox::UniqueIdForm::own) return std::nullopt;
  auto index = open_index_header(context.fs, paths.state_folder_fd);
  if (!index) return std::nullopt;
  const std::int64_t now = context.clock.realtime_ns();
  const auto before = again([&] { return context.fs.status(lock.fd()); });
  if (!before) return std::nullopt;
  const auto& identity = before->identity;
  const auto grown = has_only_grown(context, lock.fd(), index->header, identity);
  if (!grown || !*grown) return std::nullopt;
  const mbox::ScanStart start{.offset = index->header.end, .format = index->header.format};
  auto found = scan_spool(context, lock, start, identity.size);
  if (!found) return std::nullopt;
  ListingHeader header = index->header;
  if (!describe(context, lock, identity, found->format, header)) return std::nullopt;
  const auto records_hash = name_behind(context, *index, found->records);
  const auto after = again([&] { return context.fs.status(lock.fd()); });
  if (!records_hash || !after || after->identity != identity) return std::nullopt;
  header.young = is_young(identity, now) ? 1 : 0;
  set_compared(context, header);
  listing::extend_header(header, found->records, *records_hash);
  if (!append_to_index(context, paths.state_folder_fd, *index, header, found->records)) return std::nullopt;
  static_cast<void>(remove_if_present(context.fs, paths.state_folder_fd, kIndexTemporaryName));  // of a process that died
  return UsableIndex{.fd = std::move(index->fd), .header = header, .octets_scanned = identity.size - start.offset};
}

Result<SpoolListing> list_spool(const Context& context, const MaildropPaths& paths, MailLock& lock) {
  for (int round = 0; round < kMaxRounds; ++round) {
    // Before the first look: how old the time stamp was then decides, not after a scan of a second.
    const std::int64_t now = context.clock.realtime_ns();
    auto before = again([&] { return context.fs.status(lock.fd()); });
    if (!before) return before.error();
    auto listing = list_once(context, paths, lock, before->identity, read_index(context, paths.state_folder_fd));
    const bool shrunk = !listing && listing.error().kind() == ErrorKind::changed;
    if (!listing && !shrunk) return listing;
    auto after = again([&] { return context.fs.status(lock.fd()); });
    if (!after) return after.error();
    if (shrunk || after->identity != before->identity) continue;
    if (listing->source != ListingSource::from_index) {
      listing->header.young = is_young(before->identity, now) ? 1 : 0;
    }
    return listing;
  }
  return Error{ErrorKind::changed, "somebody writes to the spool without taking its locks"};
}

bool is_as_listed(const Context& context, int fd, const ListingHeader& header) {
  auto status = again([&] { return context.fs.status(fd); });
  if (!status) return false;
  if (status->identity == header.spool) {
    if (header.young == 0) return true;
    auto hash = tail_hash(context.fs, fd, header.end);
    return hash && *hash == header.tail_hash;
  }
  auto grown = has_only_grown(context, fd, header, status->identity);
  return grown && *grown;
}

Result<UniqueFd> write_index(const Context& context, int state_folder_fd, SpoolListing& listing, Warnings& warnings) {
  auto file = write_index_file(context, state_folder_fd, listing);
  if (file) return file;
  static_cast<void>(remove_if_present(context.fs, state_folder_fd, kIndexTemporaryName));
  warnings.push_back(
      fmt::format("write the index: {}; the maildrop is scanned again next time", file.error().message()));
  return memory_listing(context, listing);
}

Result<UniqueFd> memory_listing(const Context& context, SpoolListing& listing) {
  auto fd = again([&] { return context.fs.memory_file(); });
  if (!fd) return fd.error().at("keep the scan listing in memory");
  if (auto put = write_listing(context, fd->get(), listing); !put)
    return put.error().at("keep the scan listing in memory");
  if (auto sealed = again([&] { return context.fs.seal(fd->get()); }); !sealed) return sealed.error();
  return fd;
}

Result<std::uint64_t> tail_hash(FileSystem& fs, int fd, std::uint64_t end) {
  auto tail = read_before(fs, fd, end, listing::kTailSpan);
  if (!tail) return tail.error();
  return digest::xxh3_64(*tail);
}

}  // namespace qpop::spool
