// SPDX-License-Identifier: MIT
// When deleted messages leave the spool.
#include "common/spool/deferred.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <span>

#include "common/spool/recovery.h"
#include "common/spool/spool_file.h"
#include "common/spool/update.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using listing::Record;

constexpr std::size_t kRecordsAtOnce = 256;
constexpr std::uint64_t kSecondNs = 1'000'000'000;
/// A session whose update died has its channel closed at that moment, and gives its lock up before it answers.
constexpr std::uint32_t kSessionEndMs = 2'000;

/// Adds the deleted ones of messages [first, first + size). Looks at no record of a piece in which none is deleted.
base::Status add_entries(const listing::ListingReader& reader, const std::vector<bool>& deleted, std::uint32_t first, std::size_t size,
                         std::vector<ExpungedEntry>& entries) {
  const auto from = deleted.begin() + first;
  if (std::find(from, from + static_cast<std::ptrdiff_t>(size), true) == from + static_cast<std::ptrdiff_t>(size)) return {};
  std::array<Record, kRecordsAtOnce + 1> records;
  const bool last = first + size == reader.count();
  if (auto read = reader.records(first, std::span{records}.first(size + (last ? 0 : 1))); !read) return read;
  for (std::size_t i = 0; i < size; ++i) {
    if (!deleted[first + i]) continue;
    const Record& record = records.at(i);
    const std::uint64_t end = last && i + 1 == size ? reader.header().end : records.at(i + 1).offset;
    if (end <= record.offset) return Error{ErrorKind::malformed, "scan listing: contradictory offsets"};
    entries.push_back({.offset = record.offset, .length = end - record.offset, .digest = record.digest, .number = static_cast<std::uint32_t>(first + i)});
  }
  return {};
}

/// Does the listing end as a message must?
Result<bool> has_whole_end(const Context& context, int spool_fd, const listing::ListingReader& reader) {
  std::array<Record, 1> last;
  if (auto read = reader.records(reader.count() - 1, last); !read) return read.error();
  auto missing = missing_end(context.fs, spool_fd, reader.header().end, reader.header().format, last[0].trailer);
  return missing ? Result<bool>{missing->empty()} : Result<bool>{missing.error()};
}

Result<ExpungedBatch> make_batch(const listing::ListingReader& reader, const UpdateRequest& request) {
  ExpungedBatch batch;
  batch.header.count = request.count;
  batch.header.records_hash = request.records_hash;
  for (std::uint32_t first = 0; first < request.count; first += kRecordsAtOnce) {
    const auto size = std::min<std::size_t>(kRecordsAtOnce, request.count - first);
    if (auto added = add_entries(reader, request.deleted, first, size, batch.entries); !added) return added.error();
  }
  return batch;
}

}  // namespace

bool is_due(const Context& context, const ExpungeRules& rules, const Expunged& expunged, std::uint64_t more, std::uint64_t spool_size) {
  if (!expunged.empty()) {
    if (!rules.deferred) return true;
    const auto now = context.clock.realtime_ns();
    const auto oldest = expunged.oldest_ns();
    // The file lies in a folder of the user's and may name any time: the difference of two may be too large for the type of both.
    const auto age = static_cast<std::uint64_t>(now) - static_cast<std::uint64_t>(oldest);
    if (oldest > now || age / kSecondNs >= static_cast<std::uint64_t>(rules.after_s)) return true;
  }
  const auto gone = expunged.on_disk() + more;
  return gone > 0 && gone >= spool_size / 100 * rules.share_percent + spool_size % 100 * rules.share_percent / 100;
}

bool is_long_update(const UpdateRequest& request) {
  const auto first = std::ranges::find(request.deleted, true);
  auto reader = listing::ListingReader::open(request.listing_fd);
  if (first == request.deleted.end() || !reader || reader->count() != request.count) return false;
  std::array<Record, 1> record;
  if (!reader->records(static_cast<std::uint32_t>(first - request.deleted.begin()), record)) return false;
  const auto end = std::max(reader->header().end, record[0].offset);
  return end - record[0].offset + request.count * kWorkOfMessage >= request.long_update;
}

Result<bool> defer_deletion(const Context& context, const MaildropPaths& paths, const ExpungeRules& rules, const UpdateRequest& request,
                            bool even_if_due, bool& in_doubt) {
  auto reader = listing::ListingReader::open(request.listing_fd);
  if (!reader) return reader.error();
  if (reader->count() != request.count || reader->header().records_hash != request.records_hash)
    return Error{ErrorKind::changed, "the listing is not that of the session"};
  auto journal = exists(context.fs, paths.state_folder_fd, kJournalName);
  if (!journal) return journal.error();
  auto spool = open_spool(context.fs, paths, O_RDONLY);
  if (*journal || !spool || !is_as_listed(context, spool->get(), reader->header())) return false;
  auto ends = has_whole_end(context, spool->get(), *reader);
  if (!ends) return ends.error();
  if (!*ends) return false;
  auto expunged = load_expunged(context, paths.state_folder_fd);
  if (!expunged) return expunged.error();
  auto batch = make_batch(*reader, request);
  if (!batch) return batch.error();
  std::uint64_t more = 0;
  for (const auto& entry : batch->entries) more += entry.length;
  if (!even_if_due && is_due(context, rules, *expunged, more, reader->header().end)) return false;
  if (auto added = add_batch(context, paths.state_folder_fd, *expunged, std::move(*batch), in_doubt); !added) return added.error();
  return true;
}

Result<std::uint32_t> compact(const Context& context, const MaildropPaths& paths, MailLock& lock, const Expunged& expunged, Warnings& warnings) {
  auto listing = list_spool(context, paths, lock);
  if (!listing) return listing.error();
  const auto hidden = find_hidden(expunged, listing->records, listing->header.end);
  forget_void(context, paths.state_folder_fd, expunged, hidden);
  Marks marks{.deleted = {}, .expunged_stands = true};
  const auto count = mark_hidden(hidden, marks.deleted);
  if (count == 0) return count;
  lock.take_lease();
  if (auto done = apply_update(context, paths, lock, *listing, marks, [](std::uint64_t) {}, warnings); !done) return done.error();
  return count;
}

Result<std::uint32_t> compact_maildrop(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings, Warnings& warnings) {
  auto expunged = load_expunged(context, paths.state_folder_fd);
  if (!expunged) return expunged.error();
  if (expunged->empty()) return std::uint32_t{0};
  auto lock = MailLock::acquire(context, paths, settings.locks, settings.open_timeout_ms, warnings);
  if (!lock && lock.error().kind() == ErrorKind::not_found) return std::uint32_t{0};
  if (!lock) return lock.error();
  if (auto recovered = recover_locked(context, paths, *lock, warnings); !recovered) return recovered.error();
  // A journal that was carried out took the file along; what it said must not be applied to what stands in its place.
  expunged = load_expunged(context, paths.state_folder_fd);
  if (!expunged) return expunged.error();
  return compact(context, paths, *lock, *expunged, warnings);
}

Result<std::uint32_t> finish_written_down(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings, Warnings& warnings) {
  if (settings.expunge.deferred) return std::uint32_t{0};
  auto there = exists(context.fs, paths.state_folder_fd, kExpungedName);
  if (!there) return there.error();
  if (!*there) return std::uint32_t{0};
  const auto session = lock_session(context, paths.state_folder_fd, settings.open_timeout_ms, kSessionEndMs);
  if (!session && session.error().kind() == ErrorKind::busy) return std::uint32_t{0};
  if (!session) return session.error();
  mark_finishing(context, session->get());  // a login waits for us
  return compact_maildrop(context, paths, settings, warnings);
}

}  // namespace qpop::spool
