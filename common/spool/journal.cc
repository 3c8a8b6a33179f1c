// SPDX-License-Identifier: MIT
// Writing, checking and comparing a journal; everything in pieces, so that memory does not grow with the maildrop.
#include "common/spool/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;
using digest::Digest16;

template <class T>
std::string_view view_of_object(const T& object) {
  return {reinterpret_cast<const char*>(&object), sizeof object};
}

std::uint64_t sector_count(std::uint64_t first, std::uint64_t end) {
  return first == end ? 0 : (end + kSector - 1) / kSector - first / kSector;
}

struct Layout {
  explicit Layout(const JournalHeader& header)
      : sums(sector_count(header.first, header.new_size) * sizeof(std::uint64_t)),
        old_sums(kTailOffset + (header.new_size - header.first)),
        new_sums(old_sums + sums),
        end(new_sums + sums) {}
  [[nodiscard]] std::uint64_t size() const { return end + sizeof(JournalEnd); }

  std::uint64_t sums;  ///< octets of one table
  std::uint64_t old_sums;
  std::uint64_t new_sums;
  std::uint64_t end;
};

Digest16 whole_hash(const JournalHeader& header, const JournalEnd& end) {
  digest::Xxh3Stream hash{header.seed};
  hash.add(view_of_object(header));
  hash.add(digest::view_of(end.tail_hash));
  hash.add(digest::view_of(end.old_sums_hash));
  hash.add(digest::view_of(end.new_sums_hash));
  return hash.result();
}

/// Cuts a stream of spool octets that starts at `offset` into sectors and hands out the sum of each.
class SectorSums {
 public:
  SectorSums(std::uint64_t offset, std::uint64_t seed) : offset_(offset), seed_(seed) {}

  template <class Take>
  Status add(std::string_view bytes, Take&& take) {
    while (!bytes.empty()) {
      const auto room = static_cast<std::size_t>(kSector - offset_ % kSector);
      const auto piece = bytes.substr(0, room);
      offset_ += piece.size();
      bytes.remove_prefix(piece.size());
      if (piece.size() < room || !held_.empty()) {
        held_ += piece;
        if (piece.size() < room) continue;
        if (auto taken = take(digest::xxh3_64(held_, seed_)); !taken) return taken;
        held_.clear();
      } else if (auto taken = take(digest::xxh3_64(piece, seed_)); !taken) {
        return taken;
      }
    }
    return {};
  }

  template <class Take>
  Status finish(Take&& take) {
    return held_.empty() ? Status{} : take(digest::xxh3_64(held_, seed_));
  }

 private:
  std::uint64_t offset_;
  std::uint64_t seed_;
  std::string held_;
};

/// Collects sums and writes them to the journal in larger pieces.
class SumWriter {
 public:
  SumWriter(FileSystem& fs, int fd, std::uint64_t offset, std::uint64_t seed)
      : fs_(fs), fd_(fd), offset_(offset), hash_(seed) {}

  Status add(std::uint64_t sum) {
    held_.append(reinterpret_cast<const char*>(&sum), sizeof sum);
    return held_.size() < kChunk ? Status{} : flush();
  }
  Status flush() {
    hash_.add(held_);
    auto put = write_all(fs_, fd_, held_, offset_);
    offset_ += held_.size();
    held_.clear();
    return put;
  }
  [[nodiscard]] Digest16 hash() const { return hash_.result(); }

 private:
  FileSystem& fs_;
  int fd_;
  std::uint64_t offset_;
  digest::Xxh3Stream hash_;
  std::string held_;
};

/// Hands out the sums of a table one by one.
class SumReader {
 public:
  SumReader(FileSystem& fs, int fd, std::uint64_t offset, std::uint64_t octets)
      : fs_(fs), fd_(fd), offset_(offset), left_(octets) {}

  Result<std::uint64_t> next() {
    if (at_ == held_.size()) {
      held_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kChunk, left_)));
      at_ = 0;
      if (held_.empty()) return Error{ErrorKind::malformed, "journal: too few sector sums"};
      if (auto read = read_exactly(fs_, fd_, held_, offset_); !read) return read.error();
      offset_ += held_.size();
      left_ -= held_.size();
    }
    std::uint64_t sum = 0;
    std::memcpy(&sum, held_.data() + at_, sizeof sum);
    at_ += sizeof sum;
    return sum;
  }

 private:
  FileSystem& fs_;
  int fd_;
  std::uint64_t offset_;
  std::uint64_t left_;
  std::string held_;
  std::size_t at_ = 0;
};

Result<Digest16> hash_range(const Context& context, int fd, std::uint64_t from, std::uint64_t to, std::uint64_t seed,
                            const Tick& tick) {
  digest::Xxh3Stream hash{seed};
  auto read = for_each_piece(context.fs, fd, from, to, [&](std::string_view piece) -> Status {
    tick();
    hash.add(piece);
    return {};
  });
  if (!read) return read.error();
  return hash.result();
}

std::uint64_t head_start(const JournalHeader& header) {
  return header.first - std::min(header.first, kHeadHashSpan);
}

Result<JournalHeader> make_header(const Context& context, int spool_fd, const JournalPlan& plan, const Tick& tick) {
  auto status = again([&] { return context.fs.status(spool_fd); });
  if (!status) return status.error();
  JournalHeader header;
  header.format = plan.format;
  header.open_end = plan.open_end ? 1 : 0;
  header.device = status->identity.device;
  header.inode = status->identity.inode;
  header.first = plan.first;
  header.old_size = plan.old_size;
  header.new_size = plan.first;
  for (const auto& piece : plan.pieces) header.new_size += piece.fd >= 0 ? piece.length : piece.text.size();
  digest::random_bytes({reinterpret_cast<std::byte*>(&header.seed), sizeof header.seed});
  header.made_ns = context.clock.realtime_ns();
  if (header.new_size > header.old_size) return Error{ErrorKind::limit, "an update must not make the spool longer"};
  auto head = hash_range(context, spool_fd, head_start(header), header.first, header.seed, tick);
  if (!head) return head.error();
  header.head_hash = *head;
  auto cut = hash_range(context, spool_fd, header.new_size, header.old_size, header.seed, tick);
  if (!cut) return cut.error();
  header.cut_hash = *cut;
  return header;
}

/// Writes the octets of a journal whose header is known.
class Writer {
 public:
  Writer(const Context& context, int fd, const JournalHeader& header, const Tick& tick)
      : fs_(context.fs), fd_(fd), header_(header), layout_(header), tick_(tick) {}

  Status run(int spool_fd, const std::vector<TailPiece>& pieces) {
    // The space is reserved before anything else: a full disk must be noticed while nothing has happened.
    auto reserved = again([&] { return fs_.allocate(fd_, layout_.size()); });
    if (!reserved && reserved.error().kind() != ErrorKind::unsupported) return reserved;
    if (auto put = write_all(fs_, fd_, view_of_object(header_), 0); !put) return put;
    if (auto put = write_tail(pieces); !put) return put;
    if (auto put = write_old_sums(spool_fd); !put) return put;
    end_.whole_hash = whole_hash(header_, end_);
    if (auto put = write_all(fs_, fd_, view_of_object(end_), layout_.end); !put) return put;
    return again([&] { return fs_.sync(fd_); });
  }

 private:
  Status write_tail(const std::vector<TailPiece>& pieces) {
    SumWriter sums{fs_, fd_, layout_.new_sums, header_.seed};
    SectorSums sectors{header_.first, header_.seed};
    digest::Xxh3Stream hash{header_.seed};
    std::uint64_t at = kTailOffset;
    const auto add_sum = [&](std::uint64_t sum) { return sums.add(sum); };
    const auto put = [&](std::string_view bytes) -> Status {
      tick_();
      hash.add(bytes);
      if (auto summed = sectors.add(bytes, add_sum); !summed) return summed;
      auto written = write_all(fs_, fd_, bytes, at);
      at += bytes.size();
      return written;
    };
    for (const auto& piece : pieces) {
      auto done = piece.fd < 0 ? put(piece.text)
                               : for_each_piece(fs_, piece.fd, piece.offset, piece.offset + piece.length, put);
      if (!done) return done;
    }
    if (auto summed = sectors.finish(add_sum); !summed) return summed;
    if (auto flushed = sums.flush(); !flushed) return flushed;
    end_.tail_hash = hash.result();
    end_.new_sums_hash = sums.hash();
    return {};
  }

  Status write_old_sums(int spool_fd) {
    SumWriter sums{fs_, fd_, layout_.old_sums, header_.seed};
    SectorSums sectors{header_.first, header_.seed};
    const auto add_sum = [&](std::uint64_t sum) { return sums.add(sum); };
    auto read = for_each_piece(fs_, spool_fd, header_.first, header_.new_size, [&](std::string_view piece) {
      tick_();
      return sectors.add(piece, add_sum);
    });
    if (!read) return read;
    if (auto summed = sectors.finish(add_sum); !summed) return summed;
    if (auto flushed = sums.flush(); !flushed) return flushed;
    end_.old_sums_hash = sums.hash();
    return {};
  }

  FileSystem& fs_;
  int fd_;
  const JournalHeader& header_;
  Layout layout_;
  const Tick& tick_;
  JournalEnd end_;
};

Result<UniqueFd> create_temporary(const Context& context, int folder) {
  FileSystem& fs = context.fs;
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
/// name is taken back; not from a replacement, without which a spool that is half moved would stand alone. Should the
/// name survive all the same, recovery redoes an update whose client was told that it failed: nothing is lost by that.
Status publish(const Context& context, int folder, bool replaces) {
  FileSystem& fs = context.fs;
  auto named = again([&] { return fs.rename_at(folder, kJournalTemporaryName, kJournalName); });
  if (!named) {
    static_cast<void>(remove_if_present(fs, folder, kJournalTemporaryName));
    return named;
  }
  auto synced = again([&] { return fs.sync_directory(folder); });
  if (!synced && !replaces) static_cast<void>(remove_if_present(fs, folder, kJournalName));
  return synced;
}

Status check_whole(const Context& context, int fd, const JournalHeader& header, const Tick& tick) {
  const Layout layout{header};
  JournalEnd end;
  if (auto read = read_exactly(context.fs, fd, {reinterpret_cast<char*>(&end), sizeof end}, layout.end); !read)
    return read;
  const Error torn{ErrorKind::malformed, "journal: checksum differs"};
  if (whole_hash(header, end) != end.whole_hash) return torn;
  const std::array<std::uint64_t, 4> borders{kTailOffset, layout.old_sums, layout.new_sums, layout.end};
  const std::array<const Digest16*, 3> want{&end.tail_hash, &end.old_sums_hash, &end.new_sums_hash};
  for (std::size_t i = 0; i < want.size(); ++i) {
    auto got = hash_range(context, fd, borders[i], borders[i + 1], header.seed, tick);
    if (!got) return got.error();
    if (*got != *want[i]) return torn;
  }
  return {};
}

}  // namespace

Result<Journal> Journal::commit(const Context& context, const MaildropPaths& paths, int spool_fd,
                                const JournalPlan& plan, const Tick& tick) {
  const int folder = paths.state_folder_fd;
  auto header = make_header(context, spool_fd, plan, tick);
  if (!header) return header.error().at("prepare the journal");
  auto fd = create_temporary(context, folder);
  if (!fd) return fd.error().at("make the journal");
  auto written = Writer{context, fd->get(), *header, tick}.run(spool_fd, plan.pieces);
  if (!written) {
    static_cast<void>(remove_if_present(context.fs, folder, kJournalTemporaryName));
    return written.error().at("write the journal");
  }
  Journal journal;
  journal.fd_ = std::move(*fd);
  journal.header_ = *header;
  if (auto published = publish(context, folder, plan.replaces); !published)
    return published.error().at("name the journal");
  return journal;
}

Result<std::optional<Journal>> Journal::load(const Context& context, int state_folder_fd, const Tick& tick) {
  FileSystem& fs = context.fs;
  auto fd = again([&] { return fs.open_at(state_folder_fd, kJournalName, O_RDONLY | O_NONBLOCK, 0); });
  if (!fd && fd.error().kind() == ErrorKind::not_found) return std::optional<Journal>{};
  if (!fd) return fd.error().at("open the journal");
  auto status = again([&] { return fs.status(fd->get()); });
  if (!status) return status.error().at("open the journal");
  const std::uint64_t size = status->identity.size;
  if (!S_ISREG(status->mode) || size < kTailOffset + sizeof(JournalEnd))
    return Error{ErrorKind::malformed, "journal: too short"};
  Journal journal;
  JournalHeader& header = journal.header_;
  if (auto read = read_exactly(fs, fd->get(), {reinterpret_cast<char*>(&header), sizeof header}, 0); !read) {
    return read.error().at("read the journal");
  }
  if (header.magic != kJournalMagic) return Error{ErrorKind::malformed, "journal: not one"};
  if (header.version != kJournalVersion)
    return Error{ErrorKind::unsupported, fmt::format("journal of version {}", header.version)};
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const bool ordered =
      header.first <= header.new_size && header.new_size <= header.old_size && header.old_size <= kLargest;
  if (!ordered || header.new_size - header.first > size || Layout{header}.size() != size) {
    return Error{ErrorKind::malformed, "journal: length does not fit its header"};
  }
  if (auto whole = check_whole(context, fd->get(), header, tick); !whole) return whole.error().at("read the journal");
  journal.fd_ = std::move(*fd);
  return std::optional<Journal>{std::move(journal)};
}

Status Journal::move_tail(const Context& context, int spool_fd, const Tick& tick) const {
  std::uint64_t to = header_.first;
  return for_each_piece(context.fs, fd_.get(), kTailOffset, kTailOffset + tail_size(),
                        [&](std::string_view piece) -> Status {
                          tick();
                          auto put = write_all(context.fs, spool_fd, piece, to);
                          to += piece.size();
                          return put;
                        });
}

Result<bool> Journal::head_is_same(const Context& context, int spool_fd) const {
  auto hash = hash_range(context, spool_fd, head_start(header_), header_.first, header_.seed, [] {});
  if (!hash) return hash.error();
  return *hash == header_.head_hash;
}

Result<bool> Journal::cut_is_same(const Context& context, int spool_fd, const Tick& tick) const {
  auto hash = hash_range(context, spool_fd, header_.new_size, header_.old_size, header_.seed, tick);
  if (!hash) return hash.error();
  return *hash == header_.cut_hash;
}

Result<Journal::Sectors> Journal::compare_sectors(const Context& context, int spool_fd, const Tick& tick) const {
  const Layout layout{header_};
  SumReader old_sums{context.fs, fd_.get(), layout.old_sums, layout.sums};
  SumReader new_sums{context.fs, fd_.get(), layout.new_sums, layout.sums};
  SectorSums sectors{header_.first, header_.seed};
  Sectors out;
  const auto compare = [&](std::uint64_t sum) -> Status {
    auto old_sum = old_sums.next();
    if (!old_sum) return old_sum.error();
    auto new_sum = new_sums.next();
    if (!new_sum) return new_sum.error();
    if (sum != *new_sum) {
      out.all_new = false;
      if (sum != *old_sum) out.all_old_or_new = false;
    }
    return {};
  };
  auto read = for_each_piece(context.fs, spool_fd, header_.first, header_.new_size, [&](std::string_view piece) {
    tick();
    return sectors.add(piece, compare);
  });
  if (!read) return read.error();
  if (auto last = sectors.finish(compare); !last) return last.error();
  return out;
}

}  // namespace qpop::spool
