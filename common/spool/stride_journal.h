// SPDX-License-Identifier: MIT
// The journal that says only where the kept octets lie. It is the file `reserve` of the state folder, which is made when
// a session opens the maildrop, so that a full disk can still delete mail; committing renames it to `journal`, ending
// the update renames it back.
//
// One stride (the kept octets fit into the first gap): nothing is overwritten that is kept, so until the cut every kept
// message is whole at its old place. Several strides: each is durable in the spool, and recorded here, before the next
// one may overwrite its source; safe against crashes, but when another program rewrites the spool between a crash and
// its recovery nobody can bring back what was half moved. Hence only when the disk is full.
//
// Two halves of kHalf octets, each a whole journal; the valid one with the higher generation counts. Host byte order:
//     StrideHeader
//     at kSlotOffset[0], [1]   Slot: written in turn, the valid one with the higher stride counts
//     at kSourcesOffset        Range, `count` times
// Source: the update protocol, MOVE mode.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/spool/journal.h"

namespace qpop::spool {

inline constexpr Magic kStrideMagic{'Q', 'P', 'O', 'P', 'S', 'T', 'R', '\n'};
inline constexpr std::uint64_t kHalf = 32UL * 1024;
inline constexpr std::uint64_t kReserveSize = 2 * kHalf;
inline constexpr std::array<std::uint64_t, 2> kSlotOffset{512, 1024};
inline constexpr std::uint64_t kSourcesOffset = 1536;

struct StrideHeader {
  /// rest_hash: chained from the last stride to the first, R(k) = hash of (hash of the octets of stride k, R(k+1)), R
  /// behind the last one is zero; here R(0).
  JournalHeader common;
  std::uint64_t generation = 0;
  std::uint32_t count = 0;  ///< of sources
  std::uint32_t reserved = 0;
  digest::Digest16 tail_hash{};   ///< of [F, N) after the update
  digest::Digest16 whole_hash{};  ///< of the header up to here, and of the sources
};
static_assert(sizeof(StrideHeader) == 152 && std::is_trivially_copyable_v<StrideHeader>);

/// Strides before `stride` are durable at their new place.
struct StrideSlot {
  std::uint64_t generation = 0;
  std::uint64_t stride = 0;
  digest::Digest16 moved_hash{};  ///< of their octets
  digest::Digest16 rest_hash{};   ///< R(stride)
  digest::Digest16 slot_hash{};   ///< of the fields above
};
static_assert(sizeof(StrideSlot) == 64 && std::is_trivially_copyable_v<StrideSlot>);

/// Makes the file `reserve` where it is missing, with its blocks written and synced. Precondition: the session lock or
/// the mail locks are held. Errors: no_space, io.
[[nodiscard]] base::Status prepare_reserve(const Context& context, int state_folder_fd);

class StrideJournal final : public Journal {
 public:
  /// Two syncs each: more of them would hold the locks for too long.
  static constexpr std::size_t kMostStrides = 2000;
  static constexpr std::size_t kMostSources = (kHalf - kSourcesOffset) / sizeof(Range);

  /// Can it be done in so many strides?
  [[nodiscard]] static bool fits(const JournalPlan& plan, std::size_t most_strides);
  /// As commit_journal(). plan.padding is left out: the spool ends as it did.
  static base::Result<std::unique_ptr<Journal>> commit(const Context& context, const MaildropPaths& paths,
                                                       MailLock& lock, const JournalPlan& plan, Journal* standing,
                                                       std::size_t most_strides);
  static base::Result<std::unique_ptr<Journal>> load(const Context& context, base::UniqueFd fd, std::uint64_t size);

  base::Result<SpoolState> compare(const Context& context, MailLock& lock, std::uint64_t size) override;
  base::Status move(const Context& context, MailLock& lock) override;
  base::Status drop(const Context& context, int state_folder_fd) override;
  [[nodiscard]] bool redo_only() const override { return strides_.size() > 1; }

 private:
  static base::Result<std::unique_ptr<StrideJournal>> load_half(const Context& context, int fd, std::uint64_t base);
  [[nodiscard]] base::Status read_sources(const Context& context, MailLock& lock);
  [[nodiscard]] base::Status write_half(const Context& context, int fd) const;
  [[nodiscard]] base::Status read_slots(const Context& context, int fd);
  [[nodiscard]] base::Status record_progress(const Context& context);
  [[nodiscard]] base::Status make_durable(const Context& context);
  [[nodiscard]] digest::Digest16 whole_hash() const;
  [[nodiscard]] digest::Digest16 slot_hash(const StrideSlot& slot) const;
  [[nodiscard]] base::Result<digest::Digest16> hash_stride(const Context& context, MailLock& lock, std::size_t stride,
                                                           digest::Xxh3Stream* all) const;
  [[nodiscard]] digest::Digest16 chain(const digest::Digest16& own, const digest::Digest16& rest) const;
  [[nodiscard]] base::Result<bool> is_uncut(const Context& context, MailLock& lock, std::uint64_t size);

  base::UniqueFd fd_;
  bool loaded_ = false;     ///< what we read may be in the page cache alone
  std::uint64_t base_ = 0;  ///< offset of our half
  StrideHeader stride_header_;
  std::vector<Range> sources_;
  std::vector<Stride> strides_;
  std::vector<digest::Digest16> rest_hashes_;  ///< R(k); one more than strides
  StrideSlot slot_;                            ///< what is durable
  digest::Xxh3Stream moved_;                   ///< over the octets that slot_ names
};

}  // namespace qpop::spool
