// SPDX-License-Identifier: MIT
// Deleting by age.
#include "common/spool/expire.h"

#include <algorithm>

#include "common/mbox/from_line.h"
#include "common/mbox/header_field.h"
#include "common/mbox/postmark_date.h"
#include "common/spool/index.h"
#include "common/spool/naming.h"
#include "common/spool/spool_file.h"
#include "common/spool/update.h"

namespace qpop::spool {

namespace {

using base::Result;
using base::Status;

constexpr std::int64_t kDayNs = 86'400'000'000'000;

Result<bool> is_older(const Context& context, MailLock& lock, const listing::Record& record, std::int64_t day) {
  std::string line(std::min<std::size_t>(record.content_start, mbox::kMaxPostmark + 8), '\0');
  if (auto read = read_exactly(context.fs, lock.fd(), line, record.offset); !read) return read.error();
  // In MMDF the postmark stands behind the separator.
  const auto start = line.find("From ");
  if (start == std::string::npos) return false;
  const auto postmark = mbox::parse_from_line(std::string_view{line}.substr(start, line.find('\n', start) - start));
  const auto delivered = postmark ? mbox::day_of_postmark(postmark->date) : std::nullopt;
  return delivered && *delivered < day;
}

}  // namespace

bool expiry_is_due(const Context& context, const MaildropPaths& paths) {
  auto status = again([&] { return context.fs.status_at(paths.state_folder_fd, kExpiryName); });
  if (!status) return true;
  const auto age = context.clock.realtime_ns() - status->identity.mtime_ns;
  return age >= kDayNs || age < 0;
}

Result<std::uint32_t> expire(const Context& context, const MaildropPaths& paths, MailLock& lock, const Expiry& expiry, Warnings& warnings) {
  auto listing = list_spool(context, paths, lock);
  if (!listing) return listing.error();
  const std::int64_t day = context.clock.realtime_ns() / kDayNs - expiry.days;
  std::vector<bool> deleted;
  for (const auto& record : listing->records) {
    if (deleted.empty() && expiry.keep_first) {
      auto header = read_header(context.fs, lock.fd(), record);
      if (!header) return header.error();
      if (mbox::is_folder_internal(*header)) {
        deleted.push_back(false);
        continue;
      }
    }
    auto older = is_older(context, lock, record, day);
    if (!older) return older.error();
    deleted.push_back(*older);
    lock.refresh();
  }
  const auto hidden = find_hidden(expiry.expunged, listing->records, listing->header.end);
  for (const auto number : hidden.messages.numbers) deleted[number] = false;
  const auto count = static_cast<std::uint32_t>(std::ranges::count(deleted, true));
  if (count > 0) {
    mark_hidden(hidden, deleted);
    lock.take_lease();
    if (auto done = apply_update(context, paths, lock, *listing, {.deleted = deleted, .expunged_stands = expiry.expunged.there}, [](std::uint64_t) {}, warnings); !done) return done.error();
  }
  note_time(context, paths, kExpiryName);
  return count;
}

}  // namespace qpop::spool
