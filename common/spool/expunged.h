// SPDX-License-Identifier: MIT
// Messages that are deleted, and whose octets are still in the spool: with option expunge = deferred, and while a long update is at work.
//
// QUIT writes down which they are, in the file `expunged` of the state folder, and has not touched the spool yet. From then on no
// session sees them; an ordinary update removes them, at once or later, together with whatever else it removes.
//
// The file is a row of batches, one for each QUIT, each at a multiple of 4096 octets, so that writing one cannot harm the others:
//
//     batch = header entry*
//     header (96) = magic[8] version:u32 entries:u32 count:u64 records_hash[16] made_ns:i64 on_disk:u64 seed:u64 reserved[16] hash[16]
//     entry  (40) = offset:u64 length:u64 digest[16] number:u32 reserved:u32
//
// Host byte order. `hash`: XXH3-128 with the seed over header (hash 0) and entries. The first batch that is not whole, and all
// behind it, is not believed.
//
// What a batch is about is the listing that its session had: its first `count` records, which `records_hash` names. An entry is a
// place in that listing. So a batch holds as long as the first messages of the spool are exactly those, each at its place, twins
// included; mail that is appended changes nothing. After any other change the whole batch is void: its messages are seen again, and
// are never removed. Every update of ours removes all hidden messages, so whoever carries out a journal also removes the file, before
// the journal goes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/listing/listing.h"
#include "common/spool/context.h"
#include "common/spool/index.h"

namespace qpop::spool {

struct ExpungedEntry {
  std::uint64_t offset = 0;  ///< of the unit in the spool
  std::uint64_t length = 0;  ///< of the unit
  digest::Digest16 digest{};
  std::uint32_t number = 0;  ///< place in the listing, from 0
  std::uint32_t reserved = 0;
};
static_assert(sizeof(ExpungedEntry) == 40 && std::is_trivially_copyable_v<ExpungedEntry>);

struct ExpungedHeader {
  std::array<char, 8> magic{'Q', 'P', 'O', 'P', 'E', 'X', 'P', '\n'};
  std::uint32_t version = 1;
  std::uint32_t entries = 0;
  std::uint64_t count = 0;          ///< messages of the listing
  digest::Digest16 records_hash{};  ///< of their records
  std::int64_t made_ns = 0;
  std::uint64_t on_disk = 0;  ///< sum of the lengths
  std::uint64_t seed = 0;
  std::array<std::uint8_t, 16> reserved{};
  digest::Digest16 hash{};
};
static_assert(sizeof(ExpungedHeader) == 96 && std::is_trivially_copyable_v<ExpungedHeader>);

struct ExpungedBatch {
  ExpungedHeader header;
  std::vector<ExpungedEntry> entries;
};

struct Expunged {
  bool there = false;                  ///< there is a file of this name
  bool unreadable = false;             ///< it may be there, and nobody knows what it says
  std::uint64_t end = 0;               ///< where the next batch belongs
  std::vector<ExpungedBatch> batches{};  ///< those that are whole

  [[nodiscard]] bool empty() const { return batches.empty(); }
  [[nodiscard]] std::uint64_t on_disk() const;
  [[nodiscard]] std::int64_t oldest_ns() const;  ///< when the first of them was made; there must be one
};

/// Reads the file; absent or damaged is no error. Errors: unsafe (no regular file), denied, io.
[[nodiscard]] base::Result<Expunged> load_expunged(const Context& context, int state_folder_fd);

/// What of it holds for the messages of a spool.
struct Hidden {
  listing::HiddenMessages messages;
  std::vector<ExpungedBatch> holding;  ///< the batches that are not void
  [[nodiscard]] bool empty() const { return messages.numbers.empty(); }
};
/// `records`: all messages of the spool, the last of which ends at `end`.
[[nodiscard]] Hidden find_hidden(const Expunged& expunged, std::span<const listing::Record> records, std::uint64_t end);

/// Sets the mark of every hidden message. Returns how many were not set before.
std::uint32_t mark_hidden(const Hidden& hidden, std::vector<bool>& deleted);

/// Forgets the batches that are void, and a file without a whole one, durably. What fails is tried again next time.
void forget_void(const Context& context, int state_folder_fd, const Expunged& expunged, const Hidden& hidden);

/// Adds a batch, durably. Errors: no_space, denied, unsafe, io. The file is then as it was; unless that could not be had, which
/// `in_doubt` says.
[[nodiscard]] base::Status add_batch(const Context& context, int state_folder_fd, const Expunged& expunged, ExpungedBatch batch,
                                     bool& in_doubt);

/// Removes the file, durably when there was one. Errors: denied, io.
[[nodiscard]] base::Status remove_expunged(const Context& context, int state_folder_fd);

}  // namespace qpop::spool
