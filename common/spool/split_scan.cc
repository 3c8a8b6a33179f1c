// SPDX-License-Identifier: MIT
#include "common/spool/split_scan.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "common/mbox/from_line.h"
#include "common/spool/index.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using listing::Record;
using listing::SpoolFormat;

/// How far behind the middle a boundary is looked for; a message may be larger.
constexpr std::uint64_t kMostLooked = 4UL * 1024 * 1024;
/// And how many lines that begin like a postmark are looked at for it: each costs two calls of the kernel, and a message may hold nothing else.
constexpr unsigned kMostCandidates = 1000;
/// A postmark, so that the scan has seen it whole.
constexpr std::uint64_t kPostmarkLine = mbox::kMaxPostmark + 2;
constexpr std::string_view kPostmark = "\nFrom ";

/// Peeks at the first `end` octets.
mbox::Peek peek_at(FileSystem& fs, int fd, std::uint64_t end) {
  return [&fs, fd, end](std::uint64_t offset, std::span<char> out) -> Result<std::size_t> {
    if (offset >= end) return std::size_t{0};
    return read_up_to(fs, fd, out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), end - offset))), offset);
  };
}

/// The first place in [from, to) where a message may begin.
Result<std::optional<std::uint64_t>> find_boundary(FileSystem& fs, int fd, std::uint64_t from, std::uint64_t to) {
  std::vector<char> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(kChunk, to - from)));
  unsigned candidates = 0;
  while (from < to) {
    const std::span<char> room = std::span{buffer}.first(static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), to - from)));
    if (auto read = read_exactly(fs, fd, room, from); !read) return read.error();
    const std::string_view octets{room.data(), room.size()};
    for (std::size_t at = 0; (at = octets.find(kPostmark, at)) != std::string_view::npos; ++at) {
      if (++candidates > kMostCandidates) return std::optional<std::uint64_t>{};
      auto found = boundary_at(fs, fd, from + at + 1, SpoolFormat::mbox);
      if (!found) return found.error();
      if (*found) return std::optional{from + at + 1};
    }
    if (room.size() < buffer.size() || room.size() <= kPostmark.size()) break;
    from += room.size() - (kPostmark.size() - 1);
  }
  return std::optional<std::uint64_t>{};
}

/// Where the helper begins, once it has begun.
std::optional<std::uint64_t> begin_helper(const Context& context, int fd, mbox::ScanStart start, std::uint64_t end) {
  if (context.scan_helper == nullptr || end - start.offset < kWorthHelp || start.format == SpoolFormat::mmdf) return std::nullopt;
  std::array<char, 1> first{};
  if (!read_exactly(context.fs, fd, first, start.offset) || first[0] == '\x01') return std::nullopt;
  const std::uint64_t middle = start.offset + (end - start.offset) / 2;
  const auto boundary = find_boundary(context.fs, fd, middle, std::min(end, middle + kMostLooked));
  if (!boundary || !boundary->has_value()) return std::nullopt;
  const auto status = again([&] { return context.fs.status(fd); });
  if (!status) return std::nullopt;
  const ScanPart part{.device = status->identity.device, .inode = status->identity.inode, .offset = **boundary, .end = end};
  if (!context.scan_helper->begin(part)) return std::nullopt;
  return part.offset;
}

class Scan {
 public:
  Scan(const Context& context, MailLock& lock, mbox::ScanStart start, std::uint64_t end)
      : context_(context), lock_(lock), end_(end), at_(start.offset), scanner_{start, peek_at(context.fs, lock.fd(), end)} {
    scanner_.expect(end - start.offset);
  }

  Status feed_until(std::uint64_t end) {
    auto fed = for_each_piece(context_.fs, lock_.fd(), at_, end, [&](std::string_view piece) {
      lock_.refresh();
      return scanner_.feed(piece);
    });
    at_ = end;
    return fed;
  }

  /// The whole of it, when a message does begin at `middle` and the helper has done its part.
  Result<std::optional<mbox::ScanResult>> join_at(std::uint64_t middle) {
    if (auto fed = feed_until(middle); !fed) return fed.error();
    if (auto fed = feed_until(std::min(end_, middle + kPostmarkLine)); !fed) return fed.error();
    if (!scanner_.has_begun_at(middle)) return std::optional<mbox::ScanResult>{};
    auto rest = context_.scan_helper->finish([&] { lock_.refresh(); });
    if (!rest) return std::optional<mbox::ScanResult>{};
    mbox::ScanResult whole{.records = scanner_.take(), .format = SpoolFormat::mbox, .end = end_};
    // Messages may have begun behind the boundary, in the octets that were read to be sure of it.
    std::erase_if(whole.records, [&](const Record& record) { return record.offset >= middle; });
    whole.records.insert(whole.records.end(), rest->begin(), rest->end());
    return std::optional{std::move(whole)};
  }

  Result<mbox::ScanResult> finish() {
    if (auto fed = feed_until(end_); !fed) return fed.error();
    return scanner_.finish();
  }

 private:
  const Context& context_;
  MailLock& lock_;
  std::uint64_t end_;
  std::uint64_t at_;
  mbox::Scanner scanner_;
};

}  // namespace

bool wants_scan_helper(FileSystem& fs, const MaildropPaths& paths) {
  const auto spool = again([&] { return fs.status_at(paths.spool_folder_fd, paths.spool_name); });
  if (!spool || spool->identity.size < kWorthHelp) return false;
  const auto index = open_index_header(fs, paths.state_folder_fd);
  if (!index || index->header.spool.inode != spool->identity.inode || index->header.end > spool->identity.size) return true;
  return spool->identity.size - index->header.end >= kWorthHelp;
}

Result<mbox::ScanResult> scan_spool(const Context& context, MailLock& lock, mbox::ScanStart start, std::uint64_t end) {
  Scan scan{context, lock, start, end};
  if (const auto middle = begin_helper(context, lock.fd(), start, end)) {
    auto whole = scan.join_at(*middle);
    context.scan_helper->dismiss();
    if (!whole) return whole.error();
    if (*whole) return std::move(**whole);
  }
  return scan.finish();
}

Result<std::vector<Record>> scan_part(FileSystem& fs, const MaildropPaths& paths, const ScanPart& part, const std::function<bool()>& is_wanted) {
  auto fd = open_spool(fs, paths, O_RDONLY);
  if (!fd) return fd.error();
  const auto status = again([&] { return fs.status(fd->get()); });
  if (!status) return status.error();
  if (status->identity.device != part.device || status->identity.inode != part.inode) return Error{ErrorKind::changed, "another spool"};
  mbox::Scanner scanner{{.offset = part.offset, .format = SpoolFormat::mbox}, peek_at(fs, fd->get(), part.end)};
  scanner.expect(part.end - part.offset);
  auto fed = for_each_piece(fs, fd->get(), part.offset, part.end, [&](std::string_view piece) -> Status {
    if (!is_wanted()) return Error{ErrorKind::io, "nobody waits for it any more"};
    return scanner.feed(piece);
  });
  if (!fed) return fed.error();
  auto found = scanner.finish();
  if (!found) return found.error();
  return std::move(found->records);
}

}  // namespace qpop::spool
