// SPDX-License-Identifier: MIT
// Writing, checking and following a stride journal.
#include "common/spool/stride_journal.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/spool/spool_file.h"

namespace qpop::spool {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;
using digest::Digest16;

namespace {

/// As much of a half as makes it invalid.
constexpr std::size_t kClearedOctets = 512;

std::string_view octets_of(const std::vector<Range>& ranges) {
  return {reinterpret_cast<const char*>(ranges.data()), ranges.size() * sizeof(Range)};
}

/// Ascending, none empty, inside of the spool, and together as long as what is moved. A journal is written by the owner of
/// the mail alone, but a sum of checks is not a signature.
bool are_ordered(const std::vector<Range>& sources, const JournalHeader& header) {
  std::uint64_t end = header.first;
  for (const auto& source : sources) {
    if (source.offset < end || source.length == 0 || source.offset > header.old_size) return false;
    if (source.length > header.old_size - source.offset) return false;
    end = source.offset + source.length;
  }
  return !sources.empty() && total_length(sources) == header.new_size - header.first;
}

Status sync_file(const Context& context, int fd) {
  return again([&] { return context.fs.sync_data(fd); });
}

}  // namespace

Status prepare_reserve(const Context& context, int state_folder_fd) {
  FileSystem& fs = context.fs;
  auto present = again([&] { return fs.status_at(state_folder_fd, kReserveName); });
  if (present && present->identity.size == kReserveSize) return {};
  if (!present && present.error().kind() != ErrorKind::not_found) return present.error().at("look at the reserve");
  auto fd = again([&] { return fs.open_at(state_folder_fd, kReserveName, O_RDWR | O_CREAT | O_NONBLOCK, 0600); });
  if (!fd) return fd.error().at("make the reserve");
  // Written, not only reserved: some file systems need room to turn the one into the other.
  auto done = write_all(fs, fd->get(), std::string(kReserveSize, '\0'), 0);
  if (done) done = again([&] { return fs.sync(fd->get()); });
  if (done) return {};
  static_cast<void>(remove_if_present(fs, state_folder_fd, kReserveName));
  return done.error().at("make the reserve");
}

bool StrideJournal::fits(const JournalPlan& plan, std::size_t most_strides) {
  return plan.kept.size() <= kMostSources && plan_strides(plan.first, plan.kept, most_strides).has_value();
}

Digest16 StrideJournal::whole_hash() const {
  digest::Xxh3Stream hash{header_.seed};
  hash.add(view_of_object(stride_header_).substr(0, offsetof(StrideHeader, whole_hash)));
  hash.add(octets_of(sources_));
  return hash.result();
}

Digest16 StrideJournal::slot_hash(const StrideSlot& slot) const {
  return digest::xxh3_128(view_of_object(slot).substr(0, offsetof(StrideSlot, slot_hash)), header_.seed);
}

Digest16 StrideJournal::chain(const Digest16& own, const Digest16& rest) const {
  digest::Xxh3Stream hash{header_.seed};
  hash.add(digest::view_of(own));
  hash.add(digest::view_of(rest));
  return hash.result();
}

/// `all`: a stream that gets the octets too, or null.
Result<Digest16> StrideJournal::hash_stride(const Context& context, MailLock& lock, std::size_t stride,
                                            digest::Xxh3Stream* all) const {
  digest::Xxh3Stream own{header_.seed};
  auto read = for_each_part(sources_, strides_[stride], [&](Range part) {
    return for_each_piece(context.fs, lock.fd(), part.offset, part.offset + part.length,
                          [&](std::string_view piece) -> Status {
                            lock.refresh();
                            own.add(piece);
                            if (all != nullptr) all->add(piece);
                            return {};
                          });
  });
  if (!read) return read.error();
  return own.result();
}

/// Fills rest_hashes_ and the hashes of the header.
Status StrideJournal::read_sources(const Context& context, MailLock& lock) {
  digest::Xxh3Stream tail{header_.seed};
  rest_hashes_.assign(strides_.size() + 1, Digest16{});
  for (std::size_t k = 0; k < strides_.size(); ++k) {
    auto hash = hash_stride(context, lock, k, &tail);
    if (!hash) return hash.error();
    rest_hashes_[k] = *hash;
  }
  for (std::size_t k = strides_.size(); k-- > 0;) rest_hashes_[k] = chain(rest_hashes_[k], rest_hashes_[k + 1]);
  stride_header_.tail_hash = tail.result();
  header_.rest_hash = rest_hashes_.front();
  return {};
}

Status StrideJournal::write_half(const Context& context, int fd) const {
  // One write, slots of zeros included: they belong to no generation.
  std::string half(kSourcesOffset, '\0');
  half.replace(0, sizeof stride_header_, view_of_object(stride_header_));
  half += octets_of(sources_);
  if (auto put = write_all(context.fs, fd, half, base_); !put) return put;
  return again([&] { return context.fs.sync(fd); });
}

Result<std::unique_ptr<Journal>> StrideJournal::commit(const Context& context, const MaildropPaths& paths,
                                                       MailLock& lock, const JournalPlan& plan, Journal* standing,
                                                       std::size_t most_strides) {
  FileSystem& fs = context.fs;
  const int folder = paths.state_folder_fd;
  auto strides = plan_strides(plan.first, plan.kept, most_strides);
  if (!strides || plan.kept.size() > kMostSources) return Error{ErrorKind::limit, "too many strides"};
  auto journal = std::make_unique<StrideJournal>();
  auto header = make_header(context, lock, plan);
  if (!header) return header.error().at("prepare the journal");
  header->magic = kStrideMagic;
  header->new_size = plan.first + total_length(plan.kept);
  journal->header_ = *header;
  journal->sources_ = plan.kept;
  journal->strides_ = std::move(*strides);
  journal->moved_.reset(header->seed);
  if (auto read = journal->read_sources(context, lock); !read) return read.error().at("prepare the journal");
  auto* const predecessor = dynamic_cast<StrideJournal*>(standing);
  StrideHeader& stored = journal->stride_header_;
  stored.common = journal->header_;
  stored.count = static_cast<std::uint32_t>(plan.kept.size());
  stored.generation = predecessor == nullptr ? 1 : predecessor->stride_header_.generation + 1;
  stored.whole_hash = journal->whole_hash();
  journal->slot_.generation = stored.generation;
  if (predecessor != nullptr) {
    // The other half, in place: valid from its sync on, and the old one until then.
    journal->base_ = predecessor->base_ == 0 ? kHalf : 0;
    if (auto put = journal->write_half(context, predecessor->fd_.get()); !put) return put.error().at("write the journal");
    journal->fd_ = std::move(predecessor->fd_);
    return journal;
  }
  if (auto ready = prepare_reserve(context, folder); !ready) return ready.error();
  auto fd = again([&] { return fs.open_at(folder, kReserveName, O_RDWR | O_NONBLOCK, 0); });
  if (!fd) return fd.error().at("open the reserve");
  if (auto claimed = claim_journal(context, fd->get()); !claimed) return claimed.error();
  // What an earlier update left in the other half must not look younger than ours.
  if (auto put = write_all(fs, fd->get(), std::string(kClearedOctets, '\0'), kHalf); !put)
    return put.error().at("write the journal");
  if (auto put = journal->write_half(context, fd->get()); !put) return put.error().at("write the journal");
  auto named = again([&] { return fs.rename_at(folder, kReserveName, kJournalName); });
  if (!named) return named.error().at("name the journal");
  if (auto synced = again([&] { return fs.sync_directory(folder); }); !synced) {
    // As in a data journal: the update did not happen, unless a predecessor would be missing then.
    if (standing == nullptr) static_cast<void>(again([&] { return fs.rename_at(folder, kJournalName, kReserveName); }));
    return synced.error().at("name the journal");
  }
  journal->fd_ = std::move(*fd);
  return journal;
}

Result<std::unique_ptr<Journal>> StrideJournal::load(const Context& context, UniqueFd fd, std::uint64_t size) {
  if (size != kReserveSize) return Error{ErrorKind::malformed, "journal: not one"};
  std::unique_ptr<StrideJournal> best;
  for (const auto base : {std::uint64_t{0}, kHalf}) {
    auto half = load_half(context, fd.get(), base);
    if (!half && half.error().kind() != ErrorKind::malformed) return half.error();
    const bool younger = half && (!best || (*half)->stride_header_.generation > best->stride_header_.generation);
    if (younger) best = std::move(*half);
  }
  if (!best) return Error{ErrorKind::malformed, "journal: checksum differs"};
  best->fd_ = std::move(fd);
  best->loaded_ = true;
  return best;
}

Result<std::unique_ptr<StrideJournal>> StrideJournal::load_half(const Context& context, int fd, std::uint64_t base) {
  const Error malformed{ErrorKind::malformed, "journal: checksum differs"};
  auto journal = std::make_unique<StrideJournal>();
  journal->base_ = base;
  StrideHeader& header = journal->stride_header_;
  if (auto read = read_exactly(context.fs, fd, span_of_object(header), base); !read) return read.error();
  journal->header_ = header.common;
  if (header.common.magic != kStrideMagic || header.count > kMostSources) return malformed;
  if (header.common.version != kJournalVersion)
    return Error{ErrorKind::unsupported, fmt::format("journal of version {}", header.common.version)};
  journal->sources_.resize(header.count);
  const std::span<char> octets{reinterpret_cast<char*>(journal->sources_.data()), header.count * sizeof(Range)};
  if (auto read = read_exactly(context.fs, fd, octets, base + kSourcesOffset); !read) return read.error();
  const auto& sources = journal->sources_;
  if (journal->whole_hash() != header.whole_hash || !is_ordered(header.common) || !are_ordered(sources, header.common))
    return malformed;
  auto strides = plan_strides(header.common.first, journal->sources_, kMostStrides);
  if (!strides) return malformed;
  journal->strides_ = std::move(*strides);
  journal->moved_.reset(header.common.seed);
  if (auto read = journal->read_slots(context, fd); !read) return read.error();
  return journal;
}

Status StrideJournal::read_slots(const Context& context, int fd) {
  slot_.generation = stride_header_.generation;
  slot_.rest_hash = header_.rest_hash;
  slot_.moved_hash = moved_.result();
  for (const auto offset : kSlotOffset) {
    StrideSlot slot;
    if (auto read = read_exactly(context.fs, fd, span_of_object(slot), base_ + offset); !read) return read;
    const bool valid = slot.generation == stride_header_.generation && slot.stride < strides_.size() &&
                       slot_hash(slot) == slot.slot_hash;
    if (valid && slot.stride > slot_.stride) slot_ = slot;
  }
  return {};
}

Result<SpoolState> StrideJournal::compare(const Context& context, MailLock& lock, std::uint64_t size) {
  auto uncut = is_uncut(context, lock, size);
  if (!uncut) return uncut.error();
  if (*uncut) return SpoolState::uncut;
  auto tail = hash_range(context, lock, lock.fd(), header_.first, header_.new_size, header_.seed);
  if (!tail) return tail.error();
  auto ends = could_end_at(context, lock, header_, size, header_.new_size);
  if (!ends) return ends.error();
  const bool complete = *tail == stride_header_.tail_hash && (*ends || header_.open_end != 0);
  return complete ? SpoolState::complete : SpoolState::foreign;
}

/// What the slot says is moved is there, and so are the sources of all that is not.
Result<bool> StrideJournal::is_uncut(const Context& context, MailLock& lock, std::uint64_t size) {
  if (size < header_.old_size) return false;
  auto ends = could_end_at(context, lock, header_, size, header_.old_size);
  if (!ends) return ends.error();
  if (!*ends && header_.open_end == 0) return false;
  moved_.reset(header_.seed);
  const auto next = static_cast<std::size_t>(slot_.stride);
  auto read = for_each_piece(context.fs, lock.fd(), header_.first, strides_[next].to, [&](std::string_view piece) -> Status {
    lock.refresh();
    moved_.add(piece);
    return {};
  });
  if (!read) return read.error();
  if (moved_.result() != slot_.moved_hash) return false;
  rest_hashes_.assign(strides_.size() + 1, Digest16{});
  for (std::size_t k = next; k < strides_.size(); ++k) {
    auto hash = hash_stride(context, lock, k, nullptr);
    if (!hash) return hash.error();
    rest_hashes_[k] = *hash;
  }
  for (std::size_t k = strides_.size(); k-- > next;) rest_hashes_[k] = chain(rest_hashes_[k], rest_hashes_[k + 1]);
  return rest_hashes_[next] == slot_.rest_hash;
}

/// A journal in the other half, or a slot, was written in place; when its sync failed, the page cache holds it as if it
/// were on the disk, and a sync alone would not write it again. Nothing may be moved by it before.
Status StrideJournal::make_durable(const Context& context) {
  if (!std::exchange(loaded_, false)) return {};
  if (slot_.stride > 0) return record_progress(context);
  return write_half(context, fd_.get());
}

Status StrideJournal::move(const Context& context, MailLock& lock) {
  if (auto durable = make_durable(context); !durable) return durable.error().at("write the journal again");
  for (auto k = static_cast<std::size_t>(slot_.stride); k < strides_.size(); ++k) {
    std::uint64_t to = strides_[k].to;
    auto moved = for_each_part(sources_, strides_[k], [&](Range part) {
      auto copied = copy_octets(context.fs, lock.fd(), part.offset, lock.fd(), to, part.length, [&](std::string_view octets) {
        lock.refresh();
        moved_.add(octets);
      });
      to += part.length;
      return copied;
    });
    if (!moved) return moved.error().at("move the kept messages");
    if (auto synced = sync_file(context, lock.fd()); !synced) return synced.error().at("sync the spool");
    slot_.stride = k + 1;
    if (k + 1 == strides_.size()) break;  // nothing will overwrite its source: the cut alone follows
    if (auto put = record_progress(context); !put) return put.error().at("record the progress");
  }
  return {};
}

Status StrideJournal::record_progress(const Context& context) {
  slot_.moved_hash = moved_.result();
  slot_.rest_hash = rest_hashes_[static_cast<std::size_t>(slot_.stride)];
  slot_.slot_hash = slot_hash(slot_);
  const auto offset = base_ + kSlotOffset.at(static_cast<std::size_t>(slot_.stride % 2));
  if (auto put = write_all(context.fs, fd_.get(), view_of_object(slot_), offset); !put) return put;
  return sync_file(context, fd_.get());
}

Status StrideJournal::drop(const Context& context, int state_folder_fd) {
  auto renamed = again([&] { return context.fs.rename_at(state_folder_fd, kJournalName, kReserveName); });
  if (renamed) renamed = again([&] { return context.fs.sync_directory(state_folder_fd); });
  return renamed;
}

}  // namespace qpop::spool
