// SPDX-License-Identifier: MIT
// Marks of read messages: planned before a move, in the records behind it.
#include "common/spool/read_marks.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "common/mbox/header_field.h"
#include "common/spool/naming.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Result;
using base::Status;
using listing::Record;

/// Where the fields end: at the empty line, or at the end of a header without one. Nothing when the header is longer than what was read.
std::optional<std::size_t> end_of_fields(const Record& record, std::string_view header) {
  if (header.size() < record.header_length || header.empty() || !header.ends_with('\n')) return std::nullopt;
  for (const std::string_view empty : {"\r\n", "\n"}) {
    if (header == empty) return 0;
    if (header.ends_with("\n" + std::string{empty})) return header.size() - empty.size();
  }
  return std::nullopt;
}

std::optional<ReadMark> mark_of(const Record& record, std::string_view header) {
  const auto end = end_of_fields(record, header);
  if (!end) return std::nullopt;
  const bool crlf = header.substr(0, header.find('\n') + 1).ends_with("\r\n");
  ReadMark mark{.offset = record.offset + record.content_start + *end, .line = crlf ? "Status: RO\r\n" : "Status: RO\n"};
  if (const auto old = mbox::find_field(header.substr(0, *end), "Status")) {
    // A line that is folded, or ends in another way than the first, is not ours to count.
    if (old->whole.size() != old->first_line.size() || old->whole.ends_with("\r\n") != crlf || !old->whole.ends_with('\n')) return std::nullopt;
    mark.offset = record.offset + record.content_start + static_cast<std::uint64_t>(old->whole.data() - header.data());
    mark.removed = static_cast<std::uint32_t>(old->whole.size());
  }
  return mark;
}

}  // namespace

std::uint64_t growth_of(const std::vector<ReadMark>& marks) {
  std::uint64_t added = 0;
  for (const auto& mark : marks) added += mark.line.size() - mark.removed;
  return added;
}

Result<std::vector<ReadMark>> plan_read_marks(const Context& context, MailLock& lock, const SpoolListing& listing, const std::vector<bool>& deleted,
                                              const std::vector<bool>& retrieved, const UpdatePlan& plan) {
  std::vector<ReadMark> marks;
  std::uint64_t room = plan.old_size - plan.first - plan.tail_size;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < listing.records.size(); ++i) {
    const Record& record = listing.records[i];
    if (i < deleted.size() && deleted[i]) continue;
    const std::size_t place = kept++;
    const bool wanted = i < retrieved.size() && retrieved[i] && record.offset > plan.first && (record.flags & listing::kFlagRead) == 0;
    if (!wanted) continue;
    auto header = read_header(context.fs, lock.fd(), record);
    if (!header) return header.error();
    auto mark = mark_of(record, *header);
    // An older line that is longer makes things shorter: rare, and left as it is.
    if (!mark || mark->removed > mark->line.size()) continue;
    const auto added = mark->line.size() - mark->removed;
    if (added > room) break;
    room -= added;
    mark->kept = place;
    marks.push_back(std::move(*mark));
    lock.refresh();
  }
  return marks;
}

std::vector<Part> parts_with_marks(const UpdatePlan& plan, const std::vector<ReadMark>& marks, int spool_fd) {
  std::vector<Part> parts;
  auto mark = marks.begin();
  for (const auto& range : plan.tail) {
    std::uint64_t at = range.offset;
    const std::uint64_t end = range.offset + range.length;
    const auto keep = [&](std::uint64_t to) {
      if (to > at) parts.push_back({.octets = {.fd = spool_fd, .offset = at, .length = to - at}});
    };
    for (; mark != marks.end() && mark->offset < end; ++mark) {
      keep(mark->offset);
      parts.push_back({.text = mark->line});
      at = mark->offset + mark->removed;
    }
    keep(end);
  }
  return parts;
}

Status apply_to_records(const Context& context, MailLock& lock, const std::vector<ReadMark>& marks, std::uint64_t end, std::vector<Record>& records) {
  std::uint64_t shift = 0;
  auto mark = marks.begin();
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].offset += shift;
    if (mark == marks.end() || mark->kept != i) continue;
    Record& record = records[i];
    const auto added = static_cast<std::uint32_t>(mark->line.size() - mark->removed);
    // As sent every line ends with CRLF, so a line that takes the place of another adds what it is longer, and a new one its CR as well.
    record.octets += added + (mark->removed == 0 && !mark->line.ends_with("\r\n") ? 1U : 0U);
    record.header_length += added;
    record.flags |= listing::kFlagRead;
    shift += added;
    ++mark;
  }
  std::array<char, listing::kHeadSpan> buffer{};
  for (const auto& marked : marks) {
    Record& record = records[marked.kept];
    const std::uint64_t unit_end = marked.kept + 1 < records.size() ? records[marked.kept + 1].offset : end;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), unit_end - record.offset));
    if (auto read = read_exactly(context.fs, lock.fd(), std::span{buffer}.first(size), record.offset); !read) return read;
    record.head_hash = digest::xxh3_64({buffer.data(), size});
  }
  return {};
}

}  // namespace qpop::spool
