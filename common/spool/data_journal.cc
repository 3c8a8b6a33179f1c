// SPDX-License-Identifier: MIT
// Writing, checking and comparing a data journal; everything in pieces, so that memory does not grow with the maildrop.
#include "common/spool/data_journal.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/mbox/from_line.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;
using digest::Digest16;

std::uint64_t sector_count(std::uint64_t first, std::uint64_t end) {
  return first == end ? 0 : (end + kSector - 1) / kSector - first / kSector;
}

/// Octets before it are overwritten; behind it the spool grows, if it does.
std::uint64_t overwritten_end(const JournalHeader& header) { return std::min(header.new_size, header.old_size); }

struct Layout {
  explicit Layout(const JournalHeader& header)
      : old_sums(kTailOffset + (header.new_size - header.first)),
        end(old_sums + sector_count(header.first, overwritten_end(header)) * sizeof(std::uint32_t)) {}
  [[nodiscard]] std::uint64_t size() const { return end + sizeof(DataJournalEnd); }

  std::uint64_t old_sums;
  std::uint64_t end;
};

Digest16 whole_hash(const JournalHeader& header, const DataJournalEnd& end) {
  digest::Xxh3Stream hash{header.seed};
  hash.add(view_of_object(header));
  hash.add(digest::view_of(end.tail_hash));
  hash.add(digest::view_of(end.old_sums_hash));
  return hash.result();
}

/// Cuts a stream of spool octets that starts at `offset` into sectors and collects the sum of each.
class SectorSums {
 public:
  SectorSums(std::uint64_t offset, std::uint64_t seed) : offset_(offset), seed_(seed) {}

  void add(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto piece = bytes.substr(0, static_cast<std::size_t>(kSector - offset_ % kSector));
      offset_ += piece.size();
      bytes.remove_prefix(piece.size());
      const bool whole = offset_ % kSector == 0;
      if (whole && held_.empty()) {
        sums.push_back(sum(piece));
      } else {
        held_ += piece;
        if (whole) finish();
      }
    }
  }
  void finish() {
    if (!held_.empty()) sums.push_back(sum(held_));
    held_.clear();
  }
  std::vector<std::uint32_t> sums;  ///< of the sectors that ended since the caller cleared it

 private:
  [[nodiscard]] std::uint32_t sum(std::string_view sector) const {
    return static_cast<std::uint32_t>(digest::xxh3_64(sector, seed_));
  }
  std::uint64_t offset_;
  std::uint64_t seed_;
  std::string held_;
};

std::string_view octets_of(const std::vector<std::uint32_t>& sums) {
  return {reinterpret_cast<const char*>(sums.data()), sums.size() * sizeof(std::uint32_t)};
}

/// Writes the octets of a journal whose header is known.
class Writer {
 public:
  Writer(const Context& context, MailLock& lock, int fd, const JournalHeader& header)
      : fs_(context.fs), lock_(lock), fd_(fd), header_(header), layout_(header), sums_at_(layout_.old_sums), summed_(header.first) {}

  Status run(const JournalPlan& plan) {
    // The space is reserved before anything else: a full disk must be noticed while nothing has happened.
    auto reserved = again([&] { return fs_.allocate(fd_, layout_.size()); });
    if (!reserved && reserved.error().kind() != ErrorKind::unsupported) return reserved;
    if (auto put = write_all(fs_, fd_, view_of_object(header_), 0); !put) return put;
    if (auto put = write_octets(plan); !put) return put;
    sectors_.finish();
    if (auto put = flush_sums(); !put) return put;
    end_.tail_hash = tail_hash_.result();
    end_.old_sums_hash = sums_hash_.result();
    end_.whole_hash = whole_hash(header_, end_);
    if (auto put = write_all(fs_, fd_, view_of_object(end_), layout_.end); !put) return put;
    return again([&] { return fs_.sync(fd_); });
  }

 private:
  /// The tail, and the sums of the old octets. Where the tail comes from the spool, in order, one reading serves both.
  Status write_octets(const JournalPlan& plan) {
    for (const auto& part : plan.parts) {
      if (auto done = part.octets.length == 0 ? put_tail(part.text) : put_piece(part.octets); !done) return done;
    }
    for (const auto& range : plan.kept) {
      if (auto done = put_piece({lock_.fd(), range.offset, range.length}); !done) return done;
    }
    if (auto done = put_tail(plan.padding); !done) return done;
    return sum_until(overwritten_end(header_));
  }

  Status put_piece(const Piece& piece) {
    const bool old = piece.fd == lock_.fd() && piece.offset >= summed_;
    if (auto done = old ? sum_until(piece.offset) : Status{}; !done) return done;
    std::uint64_t at = piece.offset;
    return for_each_piece(fs_, piece.fd, piece.offset, piece.offset + piece.length, [&](std::string_view octets) {
      auto summed = old ? sum_old(at, octets) : Status{};
      at += octets.size();
      return summed ? put_tail(octets) : summed;
    });
  }

  Status put_tail(std::string_view octets) {
    lock_.refresh();
    tail_hash_.add(octets);
    auto written = write_all(fs_, fd_, octets, at_);
    files::write_behind(fs_, fd_, at_, at_ + octets.size());
    at_ += octets.size();
    return written;
  }

  /// Old octets up to `end` that nobody else reads.
  Status sum_until(std::uint64_t end) {
    end = std::min(end, overwritten_end(header_));
    return for_each_piece(fs_, lock_.fd(), std::min(summed_, end), end, [&](std::string_view octets) {
      lock_.refresh();
      return sum_old(summed_, octets);
    });
  }

  /// `octets` stand at `offset`, which is where the sums have come to, unless they are complete.
  Status sum_old(std::uint64_t offset, std::string_view octets) {
    const std::uint64_t end = overwritten_end(header_);
    if (offset != summed_ || summed_ >= end) return {};
    octets = octets.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(octets.size(), end - summed_)));
    summed_ += octets.size();
    sectors_.add(octets);
    return sectors_.sums.size() * sizeof(std::uint32_t) < kChunk ? Status{} : flush_sums();
  }

  Status flush_sums() {
    const auto octets = octets_of(sectors_.sums);
    sums_hash_.add(octets);
    auto put = write_all(fs_, fd_, octets, sums_at_);
    sums_at_ += octets.size();
    sectors_.sums.clear();
    return put;
  }

  FileSystem& fs_;
  MailLock& lock_;
  int fd_;
  const JournalHeader& header_;
  Layout layout_;
  DataJournalEnd end_;
  digest::Xxh3Stream tail_hash_{header_.seed};
  digest::Xxh3Stream sums_hash_{header_.seed};
  SectorSums sectors_{header_.first, header_.seed};
  std::uint64_t at_ = kTailOffset;  ///< in the journal, of the tail
  std::uint64_t sums_at_;           ///< in the journal
  std::uint64_t summed_;            ///< in the spool: how far the sums have come
};

Result<UniqueFd> create_temporary(FileSystem& fs, int folder) {
  const auto create = [&] {
    return again([&] { return fs.open_at(folder, kJournalTemporaryName, O_RDWR | O_CREAT | O_EXCL, 0600); });
  };
  auto fd = create();
  if (fd || fd.error().errno_value() != EEXIST) return fd;
  // Left by one that died before its commit point; we hold the mail locks, so nobody writes it now.
  if (auto removed = remove_if_present(fs, folder, kJournalTemporaryName); !removed) return removed.error();
  return create();
}

/// Gives the finished journal its name, durably. When the folder cannot be synced the update did not happen, so the
/// name is taken back; not from a replacement, without which a spool that is not yet cut would stand alone. Should the
/// name survive all the same, recovery redoes an update whose client was told that it failed: nothing is lost by that.
Status publish(FileSystem& fs, int folder, bool replaces) {
  auto named = again([&] { return fs.rename_at(folder, kJournalTemporaryName, kJournalName); });
  if (!named) {
    static_cast<void>(remove_if_present(fs, folder, kJournalTemporaryName));
    return named;
  }
  auto synced = again([&] { return fs.sync_directory(folder); });
  if (!synced && !replaces) static_cast<void>(remove_if_present(fs, folder, kJournalName));
  return synced;
}

Status check_whole(const Context& context, MailLock& lock, int fd, const JournalHeader& header) {
  const Layout layout{header};
  DataJournalEnd end;
  if (auto read = read_exactly(context.fs, fd, span_of_object(end), layout.end); !read) return read;
  const Error torn{ErrorKind::malformed, "journal: checksum differs"};
  if (whole_hash(header, end) != end.whole_hash) return torn;
  auto tail = hash_range(context, lock, fd, kTailOffset, layout.old_sums, header.seed);
  if (!tail) return tail.error();
  auto sums = hash_range(context, lock, fd, layout.old_sums, layout.end, header.seed);
  if (!sums) return sums.error();
  return *tail == end.tail_hash && *sums == end.old_sums_hash ? Status{} : Status{torn};
}

}  // namespace

Result<std::unique_ptr<Journal>> DataJournal::commit(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                                     const JournalPlan& plan, bool replaces) {
  const int folder = paths.state_folder_fd;
  auto header = make_header(context, lock, plan);
  if (!header) return header.error().at("prepare the journal");
  header->magic = kDataMagic;
  header->end_repaired = plan.padding.empty() ? 0 : 1;
  header->new_size = plan.first + total_length(plan.kept) + plan.padding.size();
  if (plan.rewrite) header->version = kRewriteVersion;
  for (const auto& part : plan.parts) header->new_size += part.octets.length + part.text.size();
  if (header->new_size > header->old_size && !plan.rewrite)
    return Error{ErrorKind::limit, "an update must not make the spool longer"};
  auto rest = hash_range(context, lock, lock.fd(), overwritten_end(*header), header->old_size, header->seed);
  if (!rest) return rest.error().at("prepare the journal");
  header->rest_hash = *rest;
  auto fd = create_temporary(context.fs, folder);
  if (!fd) return fd.error().at("make the journal");
  auto written = claim_journal(context, fd->get());
  if (written) written = Writer{context, lock, fd->get(), *header}.run(plan);
  if (!written) {
    static_cast<void>(remove_if_present(context.fs, folder, kJournalTemporaryName));
    return written.error().at("write the journal");
  }
  if (auto published = publish(context.fs, folder, replaces); !published)
    return published.error().at("name the journal");
  auto journal = std::make_unique<DataJournal>();
  journal->fd_ = std::move(*fd);
  journal->header_ = *header;
  return journal;
}

Result<std::unique_ptr<Journal>> DataJournal::load(const Context& context, MailLock& lock, UniqueFd fd,
                                                   std::uint64_t size) {
  auto journal = std::make_unique<DataJournal>();
  JournalHeader& header = journal->header_;
  if (auto read = read_exactly(context.fs, fd.get(), span_of_object(header), 0); !read) return read.error();
  if (header.version != kJournalVersion && header.version != kRewriteVersion)
    return Error{ErrorKind::unsupported, fmt::format("journal of version {}", header.version)};
  const bool fits = is_ordered(header) && header.new_size - header.first <= size && Layout{header}.size() == size;
  if (!fits) return Error{ErrorKind::malformed, "journal: length does not fit its header"};
  if (auto whole = check_whole(context, lock, fd.get(), header); !whole) return whole.error();
  journal->fd_ = std::move(fd);
  return journal;
}

/// The octets behind old_size, durably, before any other is touched. When there is no room, the spool is as it was.
Status DataJournal::grow(const Context& context, MailLock& lock) {
  FileSystem& fs = context.fs;
  auto size = size_of(fs, lock.fd());
  if (!size) return size.error();
  const bool first = *size == header_.old_size;
  if (first) {
    if (auto longer = again([&] { return fs.truncate(lock.fd(), header_.new_size); }); !longer) return longer;
  }
  auto done = copy_octets(fs, fd_.get(), kTailOffset + (header_.old_size - header_.first), lock.fd(), header_.old_size,
                          header_.new_size - header_.old_size, [&](std::string_view) { lock.refresh(); });
  if (done) done = again([&] { return fs.sync(lock.fd()); });
  if (done || !first) return done;
  auto now = size_of(fs, lock.fd());
  if (now && *now == header_.new_size) static_cast<void>(again([&] { return fs.truncate(lock.fd(), header_.old_size); }));
  return done;
}

Result<bool> DataJournal::must_grow(const Context& context, MailLock& lock) {
  if (!is_longer()) return false;
  auto size = size_of(context.fs, lock.fd());
  if (!size) return size.error();
  auto grown = has_grown(context, lock, *size);
  if (!grown) return grown.error();
  return !*grown;
}

/// Short octets may be the same in both: a separator of MMDF, for one. Then it counts where the mail behind them begins.
Result<bool> DataJournal::has_grown(const Context& context, MailLock& lock, std::uint64_t size) const {
  if (size < header_.new_size) return false;
  auto grown = compare_grown(context, lock);
  if (!grown) return grown.error();
  if (!grown->all_old_or_new) return false;
  if (size == header_.new_size) return true;
  // What stands before new_size may not be written yet, so only the line itself is looked at.
  std::string line(std::min<std::uint64_t>(size - header_.new_size, mbox::kMaxPostmark + 2), '\0');
  if (auto read = read_exactly(context.fs, lock.fd(), line, header_.new_size); !read) return read.error();
  const bool mmdf = header_.format == listing::SpoolFormat::mmdf;
  if (mmdf ? line.starts_with("\x01\x01\x01\x01") : mbox::is_from_line(std::string_view{line}.substr(0, line.find('\n')))) return true;
  auto appended = boundary_at(context.fs, lock.fd(), header_.old_size, header_.format);
  if (!appended) return appended.error();
  return !*appended;
}

Result<DataJournal::Sectors> DataJournal::compare_grown(const Context& context, MailLock& lock) const {
  Sectors out;
  std::string wanted;
  std::uint64_t at = header_.old_size;
  auto read = for_each_piece(context.fs, lock.fd(), header_.old_size, header_.new_size, [&](std::string_view piece) -> Status {
    lock.refresh();
    wanted.resize(piece.size());
    if (auto got = read_exactly(context.fs, fd_.get(), wanted, kTailOffset + (at - header_.first)); !got) return got;
    for (std::size_t i = 0; i < piece.size();) {
      const auto size = std::min<std::size_t>(piece.size() - i, static_cast<std::size_t>(kSector - (at + i) % kSector));
      const auto sector = piece.substr(i, size);
      const bool is_new = sector == std::string_view{wanted}.substr(i, size);
      out.all_new = out.all_new && is_new;
      out.all_old_or_new = out.all_old_or_new && (is_new || sector.find_first_not_of('\0') == std::string_view::npos);
      i += size;
    }
    at += piece.size();
    return {};
  });
  if (!read) return read.error();
  return out;
}

/// A spool of at least old_size octets whose head is as it was, and which is to become longer.
Result<SpoolState> DataJournal::compare_longer(const Context& context, MailLock& lock, std::uint64_t size) {
  auto sectors = compare_sectors(context, lock);
  if (!sectors) return sectors.error();
  if (!sectors->all_old_or_new) return SpoolState::foreign;
  auto longer = has_grown(context, lock, size);
  if (!longer) return longer.error();
  if (*longer) {
    auto grown = compare_grown(context, lock);
    if (!grown) return grown.error();
    return sectors->all_new && grown->all_new ? SpoolState::complete : SpoolState::uncut;
  }
  auto ends = could_end_at(context, lock, header_, size, header_.old_size);
  if (!ends) return ends.error();
  return *ends || header_.open_end != 0 ? SpoolState::uncut : SpoolState::foreign;
}

Status DataJournal::move(const Context& context, MailLock& lock) {
  if (is_longer()) {
    if (auto grown = grow(context, lock); !grown) return grown.error().at("make the spool longer");
  }
  // A kill between two writes must leave each sector old or new, or recovery would not know it again.
  auto moved = copy_octets(context.fs, fd_.get(), kTailOffset, lock.fd(), header_.first, overwritten_end(header_) - header_.first,
                           [&](std::string_view) { lock.refresh(); });
  if (!moved) return moved.error().at("move the kept messages");
  auto synced = again([&] { return context.fs.sync_data(lock.fd()); });
  return synced ? synced : Status{synced.error().at("sync the spool")};
}

Status DataJournal::drop(const Context& context, int state_folder_fd) {
  auto removed = remove_if_present(context.fs, state_folder_fd, kJournalName);
  return removed ? again([&] { return context.fs.sync_directory(state_folder_fd); }) : removed;
}

Result<SpoolState> DataJournal::compare(const Context& context, MailLock& lock, std::uint64_t size) {
  if (is_longer()) return compare_longer(context, lock, size);
  auto sectors = compare_sectors(context, lock);
  if (!sectors) return sectors.error();
  // Uncut is tried first: when messages of equal length are deleted, a spool that is still uncut can have a message
  // start at N.
  if (size >= header_.old_size && sectors->all_old_or_new) {
    auto rest = hash_range(context, lock, lock.fd(), header_.new_size, header_.old_size, header_.seed);
    if (!rest) return rest.error();
    auto ends = could_end_at(context, lock, header_, size, header_.old_size);
    if (!ends) return ends.error();
    if (*rest == header_.rest_hash && (*ends || header_.open_end != 0)) return SpoolState::uncut;
  }
  if (!sectors->all_new) return SpoolState::foreign;
  auto ends = could_end_at(context, lock, header_, size, header_.new_size);
  if (!ends) return ends.error();
  const bool still_open = header_.open_end != 0 && header_.end_repaired == 0;
  return *ends || still_open ? SpoolState::complete : SpoolState::foreign;
}

Result<DataJournal::Sectors> DataJournal::compare_sectors(const Context& context, MailLock& lock) const {
  const Layout layout{header_};
  SectorSums now{header_.first, header_.seed};
  SectorSums wanted{header_.first, header_.seed};
  std::vector<std::uint32_t> old;
  std::string tail;
  std::uint64_t tail_at = kTailOffset;
  std::uint64_t old_at = layout.old_sums;
  Sectors out;
  const auto compare = [&]() -> Status {
    old.resize(now.sums.size());
    const std::span<char> octets{reinterpret_cast<char*>(old.data()), old.size() * sizeof(std::uint32_t)};
    if (auto read = read_exactly(context.fs, fd_.get(), octets, old_at); !read) return read;
    old_at += octets.size();
    for (std::size_t i = 0; i < now.sums.size(); ++i) {
      out.all_old_or_new = out.all_old_or_new && (now.sums[i] == wanted.sums[i] || now.sums[i] == old[i]);
    }
    now.sums.clear();
    wanted.sums.clear();
    return {};
  };
  auto read = for_each_piece(context.fs, lock.fd(), header_.first, overwritten_end(header_), [&](std::string_view piece) {
    lock.refresh();
    tail.resize(piece.size());
    if (auto got = read_exactly(context.fs, fd_.get(), tail, tail_at); !got) return got;
    tail_at += tail.size();
    out.all_new = out.all_new && tail == piece;
    now.add(piece);
    wanted.add(tail);
    return compare();
  });
  if (!read) return read.error();
  now.finish();
  wanted.finish();
  if (auto last = compare(); !last) return last.error();
  return out;
}

}  // namespace qpop::spool
