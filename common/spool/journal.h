// SPDX-License-Identifier: MIT
// The redo journal of an update: what the spool will hold behind the first deleted octet, and how to tell whether it
// does.
//
// File `journal` in the state folder, host byte order, complete before it gets its name:
//     JournalHeader, padded to kTailOffset
//     tail       new_size - first octets: what [first, new_size) of the spool will be
//     old sums   u64 for each sector of [first, new_size) as it was when the journal was made
//     new sums   u64 for each sector of the tail
//     JournalEnd
// A sector is 512 octets of the spool at a multiple of 512, cut at both ends of the range: what a disk writes whole or
// not at all. All hashes are XXH3 with a random seed, so that mail cannot be made to collide. Source: the update
// protocol, DATA mode; states U and T are told apart in recovery.cc.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "common/digest/digest.h"
#include "common/spool/context.h"

namespace qpop::spool {

inline constexpr std::array<char, 8> kJournalMagic{'Q', 'P', 'O', 'P', 'J', 'N', 'L', '\n'};
inline constexpr std::uint32_t kJournalVersion = 1;
inline constexpr std::uint64_t kSector = 512;
inline constexpr std::uint64_t kTailOffset = 512;
/// How much before `first` the head hash covers. Not everything: a foreign program that changed only what lies further
/// in front, and moved nothing behind it, does no harm to a redo.
inline constexpr std::uint64_t kHeadHashSpan = 64UL * 1024;

struct JournalHeader {
  std::array<char, 8> magic = kJournalMagic;
  std::uint32_t version = kJournalVersion;
  listing::SpoolFormat format = listing::SpoolFormat::empty;
  std::uint8_t open_end =
      0;  ///< 1: the spool did not end like a message ends, so mail may be appended there without a boundary
  std::array<std::uint8_t, 2> reserved{};
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t first = 0;     ///< F: offset of the first deleted octet
  std::uint64_t old_size = 0;  ///< S: size of the spool when the journal was made
  std::uint64_t new_size = 0;  ///< N: size after the update
  std::uint64_t seed = 0;
  std::int64_t made_ns = 0;
  digest::Digest16 head_hash{};  ///< of the last min(kHeadHashSpan, F) octets before F
  digest::Digest16 cut_hash{};   ///< of [N, S)
};
static_assert(sizeof(JournalHeader) == 104 && std::is_trivially_copyable_v<JournalHeader>);

struct JournalEnd {
  digest::Digest16 tail_hash{};
  digest::Digest16 old_sums_hash{};
  digest::Digest16 new_sums_hash{};
  digest::Digest16 whole_hash{};  ///< of the header and the three hashes
};
static_assert(sizeof(JournalEnd) == 64 && std::is_trivially_copyable_v<JournalEnd>);

/// A part of the new tail: octets of an open file, or a short text.
struct TailPiece {
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::string text{};
};

struct JournalPlan {
  std::uint64_t first = 0;
  std::uint64_t old_size = 0;
  listing::SpoolFormat format = listing::SpoolFormat::empty;
  bool open_end = false;
  bool replaces = false;  ///< a committed journal stands and this one takes its place
  std::vector<TailPiece> pieces{};
};

/// Called now and then during long work.
using Tick = std::function<void()>;

class Journal {
 public:
  /// Writes `journal.tmp`, syncs it, gives it its name and syncs the folder: when this returns, the update is
  /// committed. A journal that has the name already is replaced.
  ///
  /// Precondition: the spool is locked; where a journal is replaced, what the spool holds is durable.
  /// Errors: no_space, io: the spool was not touched; a journal that was to be replaced, or its replacement, still
  /// stands.
  static base::Result<Journal> commit(const Context& context, const MaildropPaths& paths, int spool_fd,
                                      const JournalPlan& plan, const Tick& tick);

  /// The journal that stands in the state folder, checked. Empty: none. Errors: malformed (not a whole journal: its
  /// spool was never touched), unsupported (a later version), io.
  static base::Result<std::optional<Journal>> load(const Context& context, int state_folder_fd, const Tick& tick);

  [[nodiscard]] const JournalHeader& header() const { return header_; }
  [[nodiscard]] std::uint64_t tail_size() const { return header_.new_size - header_.first; }
  /// The tail as a piece for another journal.
  [[nodiscard]] TailPiece tail() const { return {.fd = fd_.get(), .offset = kTailOffset, .length = tail_size()}; }

  /// Copies the tail into the spool. Not synced.
  [[nodiscard]] base::Status move_tail(const Context& context, int spool_fd, const Tick& tick) const;

  /// Do the octets before F, and those of [N, S), look as they did? Precondition: the spool is long enough.
  [[nodiscard]] base::Result<bool> head_is_same(const Context& context, int spool_fd) const;
  [[nodiscard]] base::Result<bool> cut_is_same(const Context& context, int spool_fd, const Tick& tick) const;

  struct Sectors {
    bool all_new = true;         ///< [F, N) is the tail
    bool all_old_or_new = true;  ///< every sector of [F, N) is as it was or as it will be
  };
  [[nodiscard]] base::Result<Sectors> compare_sectors(const Context& context, int spool_fd, const Tick& tick) const;

 private:
  base::UniqueFd fd_;
  JournalHeader header_;
};

}  // namespace qpop::spool
