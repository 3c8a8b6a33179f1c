// SPDX-License-Identifier: MIT
// What the forms of the journal share, and which one is taken.
#include "common/spool/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>

#include "common/spool/data_journal.h"
#include "common/spool/spool_file.h"
#include "common/spool/stride_journal.h"

namespace qpop::spool {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using digest::Digest16;

namespace {

std::uint64_t head_start(const JournalHeader& header) {
  return header.first - std::min(header.first, kHeadHashSpan);
}

}  // namespace

Result<Digest16> hash_range(const Context& context, MailLock& lock, int fd, std::uint64_t from, std::uint64_t to,
                            std::uint64_t seed) {
  digest::Xxh3Stream hash{seed};
  auto read = for_each_piece(context.fs, fd, from, to, [&](std::string_view piece) -> Status {
    lock.refresh();
    hash.add(piece);
    return {};
  });
  if (!read) return read.error();
  return hash.result();
}

Result<JournalHeader> make_header(const Context& context, MailLock& lock, const JournalPlan& plan) {
  auto status = again([&] { return context.fs.status(lock.fd()); });
  if (!status) return status.error();
  JournalHeader header;
  header.format = plan.format;
  header.open_end = plan.open_end ? 1 : 0;
  header.device = status->identity.device;
  header.inode = status->identity.inode;
  header.first = plan.first;
  header.old_size = plan.old_size;
  digest::random_bytes({reinterpret_cast<std::byte*>(&header.seed), sizeof header.seed});
  header.made_ns = context.clock.realtime_ns();
  auto head = hash_range(context, lock, lock.fd(), head_start(header), header.first, header.seed);
  if (!head) return head.error();
  header.head_hash = *head;
  return header;
}

Result<bool> head_is_same(const Context& context, MailLock& lock, const JournalHeader& header) {
  auto hash = hash_range(context, lock, lock.fd(), head_start(header), header.first, header.seed);
  if (!hash) return hash.error();
  return *hash == header.head_hash;
}

Result<SpoolState> Journal::classify(const Context& context, MailLock& lock) {
  auto size = size_of(context.fs, lock.fd());
  if (!size) return size.error();
  if (*size < std::min(header_.new_size, header_.old_size)) return SpoolState::foreign;
  auto head = head_is_same(context, lock, header_);
  if (!head) return head.error();
  if (!*head) return SpoolState::foreign;
  return compare(context, lock, *size);
}

Result<bool> Journal::must_grow(const Context& /*context*/, MailLock& /*lock*/) { return false; }

Status claim_journal(const Context& context, int fd) {
  auto claimed = again([&] { return context.fs.try_flock(fd); });
  if (!claimed) return claimed.error();
  return *claimed ? Status{} : Status{Error{ErrorKind::busy, "another process is working on the journal"}};
}

Result<bool> could_end_at(const Context& context, MailLock& lock, const JournalHeader& header, std::uint64_t size,
                          std::uint64_t end) {
  if (size == end) return true;
  return boundary_at(context.fs, lock.fd(), end, header.format);
}

bool is_ordered(const JournalHeader& header) {
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const bool longer = header.version == kRewriteVersion && header.new_size <= kLargest;
  return header.first <= header.new_size && header.first <= header.old_size && (longer || header.new_size <= header.old_size) &&
         header.old_size <= kLargest;
}

Result<std::unique_ptr<Journal>> commit_journal(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                                const JournalPlan& plan, Journal* standing) {
  const auto no_space = [](const auto& result) { return !result && result.error().kind() == ErrorKind::no_space; };
  if (plan.rewrite || !plan.parts.empty()) return DataJournal::commit(context, paths, lock, plan, standing != nullptr);
  if (plan.padding.empty() && StrideJournal::fits(plan, 1)) {
    auto moved = StrideJournal::commit(context, paths, lock, plan, standing, 1);
    if (!no_space(moved)) return moved;
  }
  auto with_data = DataJournal::commit(context, paths, lock, plan, standing != nullptr);
  if (!no_space(with_data) || !StrideJournal::fits(plan, StrideJournal::kMostStrides)) return with_data;
  auto strides = StrideJournal::commit(context, paths, lock, plan, standing, StrideJournal::kMostStrides);
  return no_space(strides) ? std::move(with_data) : std::move(strides);
}

Result<std::unique_ptr<Journal>> load_journal(const Context& context, int state_folder_fd, MailLock& lock) {
  FileSystem& fs = context.fs;
  // A stride journal is written to while its update goes on.
  auto fd = again([&] { return fs.open_at(state_folder_fd, kJournalName, O_RDWR | O_NONBLOCK, 0); });
  if (!fd && fd.error().kind() == ErrorKind::not_found) return std::unique_ptr<Journal>{};
  if (!fd) return fd.error().at("open the journal");
  if (auto claimed = claim_journal(context, fd->get()); !claimed) return claimed.error();
  auto status = again([&] { return fs.status(fd->get()); });
  if (!status) return status.error().at("open the journal");
  auto named = again([&] { return fs.status_at(state_folder_fd, kJournalName); });
  if (!named && named.error().kind() != ErrorKind::not_found) return named.error().at("open the journal");
  // Finished by the process that had claimed it.
  if (!named || !named->same_file(*status)) return std::unique_ptr<Journal>{};
  Magic magic{};
  if (!S_ISREG(status->mode) || status->identity.size < sizeof(JournalHeader))
    return Error{ErrorKind::malformed, "journal: too short"};
  if (auto read = read_exactly(fs, fd->get(), magic, 0); !read) return read.error().at("read the journal");
  auto loaded = magic == kDataMagic
                    ? DataJournal::load(context, lock, std::move(*fd), status->identity.size)
                    // The first half of a stride journal may be the one that is not valid.
                    : StrideJournal::load(context, std::move(*fd), status->identity.size);
  if (!loaded) return loaded.error().at("read the journal");
  return loaded;
}

}  // namespace qpop::spool
