// SPDX-License-Identifier: MIT
// The redo journal of an update: what the spool will hold behind the first deleted octet, and how to tell whether it
// does. The file `journal` in the state folder; that it has this name is what commits an update.
//
// Two forms. The data journal (data_journal.h) holds the kept octets themselves, so that it can bring them back whatever
// happens to the spool. The stride journal (stride_journal.h) holds only where they lie; it needs no space, and is taken
// when they fit into the first gap, or when the disk is full.
// All hashes are XXH3 with a random seed, so that mail cannot be made to collide.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "common/digest/digest.h"
#include "common/spool/context.h"
#include "common/spool/locks.h"
#include "common/spool/strides.h"

namespace qpop::spool {

using Magic = std::array<char, 8>;
inline constexpr std::uint32_t kJournalVersion = 1;
/// A rewrite (rewrite.h): a data journal whose octets are made, not only kept, and may be more than there were.
inline constexpr std::uint32_t kRewriteVersion = 2;
/// How much before `first` the head hash covers. Not everything: a foreign program that changed only what lies further
/// in front, and moved nothing behind it, does no harm to a redo.
inline constexpr std::uint64_t kHeadHashSpan = 64UL * 1024;

/// Both forms begin with it.
struct JournalHeader {
  Magic magic{};
  std::uint32_t version = kJournalVersion;
  listing::SpoolFormat format = listing::SpoolFormat::empty;
  /// 1: the spool did not end like a message ends, so mail may be appended there without a boundary.
  std::uint8_t open_end = 0;
  std::uint8_t end_repaired = 0;  ///< 1: the update adds what the end lacks
  std::uint8_t reserved = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t first = 0;     ///< F: offset of the first deleted octet
  std::uint64_t old_size = 0;  ///< S: size of the spool when the journal was made
  std::uint64_t new_size = 0;  ///< N: size after the update
  std::uint64_t seed = 0;
  std::int64_t made_ns = 0;
  digest::Digest16 head_hash{};  ///< of the last min(kHeadHashSpan, F) octets before F
  digest::Digest16 rest_hash{};  ///< data: of [N, S); strides: of all sources, see there
};
static_assert(sizeof(JournalHeader) == 104 && std::is_trivially_copyable_v<JournalHeader>);

/// Octets of an open file.
struct Piece {
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// What is put behind `first`: octets of a file, or a text.
struct Part {
  Piece octets{};
  std::string text{};
};

struct JournalPlan {
  std::uint64_t first = 0;
  std::uint64_t old_size = 0;
  listing::SpoolFormat format = listing::SpoolFormat::empty;
  bool open_end = false;
  std::vector<Range> kept{};  ///< octets of the spool behind `first` that stay, ascending
  std::string padding{};      ///< what the last message lacks at its end
  bool rewrite = false;       ///< the spool may become longer; always by `parts`
  std::vector<Part> parts{};  ///< when there are any, they stand in place of kept, and a data journal is made
};

/// Is the spool where the journal says, and on which side of the cut?
enum class SpoolState : std::uint8_t {
  uncut,     ///< U: old octets, new ones, or a mixture that a redo puts right
  complete,  ///< T: moved and cut
  foreign,   ///< somebody else rewrote it
};

/// A committed update that is not finished. Keeps the file open.
class Journal {
 public:
  Journal() = default;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  virtual ~Journal() = default;

  [[nodiscard]] const JournalHeader& header() const { return header_; }

  /// Compares the spool with the journal. Reads only.
  [[nodiscard]] base::Result<SpoolState> classify(const Context& context, MailLock& lock);
  /// Brings the kept octets to their place, durably. Precondition: just committed, or classified as uncut.
  [[nodiscard]] virtual base::Status move(const Context& context, MailLock& lock) = 0;
  /// Ends the update: the name `journal` goes, durably.
  [[nodiscard]] virtual base::Status drop(const Context& context, int state_folder_fd) = 0;
  /// The kept octets, when the journal holds them itself: fd is -1 when it does not.
  [[nodiscard]] virtual Piece mail() const { return {}; }
  /// A rewrite that makes the spool longer, and did not yet: mail behind old_size would stand in the middle of its octets.
  [[nodiscard]] virtual base::Result<bool> must_grow(const Context& context, MailLock& lock);
  /// Could octets that were not yet moved have been overwritten in the spool, so that only a redo can complete it?
  [[nodiscard]] virtual bool redo_only() const { return false; }

 protected:
  /// classify() for a spool of `size` >= N octets whose head is as it was.
  [[nodiscard]] virtual base::Result<SpoolState> compare(const Context& context, MailLock& lock, std::uint64_t size) = 0;

  JournalHeader header_;
};

/// Commits an update: writes a journal, syncs it, gives it its name and syncs the folder. `standing`: the journal that
/// has the name now, whose update is complete but for the cut; the new one takes its place in one step.
///
/// Precondition: the spool is locked; where a journal is replaced, what the spool holds is durable.
/// Errors: no_space, io: the spool was not touched; a standing journal, or its replacement, still stands.
[[nodiscard]] base::Result<std::unique_ptr<Journal>> commit_journal(const Context& context, const MaildropPaths& paths,
                                                                    MailLock& lock, const JournalPlan& plan,
                                                                    Journal* standing);

/// The journal that stands in the state folder, checked. Null: none. Errors: malformed (not a whole journal: its spool
/// was never touched), unsupported (a later version), io.
[[nodiscard]] base::Result<std::unique_ptr<Journal>> load_journal(const Context& context, int state_folder_fd,
                                                                  MailLock& lock);

// What both forms are made of.

/// A header with everything but the magic, N and rest_hash.
[[nodiscard]] base::Result<JournalHeader> make_header(const Context& context, MailLock& lock, const JournalPlan& plan);
[[nodiscard]] base::Result<digest::Digest16> hash_range(const Context& context, MailLock& lock, int fd,
                                                        std::uint64_t from, std::uint64_t to, std::uint64_t seed);
/// Do the octets before F look as they did? Precondition: the spool is long enough.
[[nodiscard]] base::Result<bool> head_is_same(const Context& context, MailLock& lock, const JournalHeader& header);
/// May the messages of a spool of `size` octets have ended at `end` when the journal was made: is it the end, does a
/// message start there, or had it no proper end?
[[nodiscard]] base::Result<bool> could_end_at(const Context& context, MailLock& lock, const JournalHeader& header,
                                              std::uint64_t size, std::uint64_t end);
/// F <= N <= S, in a rewrite F <= N and F <= S; and no number that a file offset cannot hold.
[[nodiscard]] bool is_ordered(const JournalHeader& header);

/// Whoever works on a journal holds flock on its file, whatever locks the spool is under: a process that was orphaned with
/// its monitor, and a recovery that found their lock file dead, must not both do it. Errors: busy, io.
[[nodiscard]] base::Status claim_journal(const Context& context, int fd);

template <class T>
std::string_view view_of_object(const T& object) {
  static_assert(std::is_trivially_copyable_v<T>);
  return {reinterpret_cast<const char*>(&object), sizeof object};
}
template <class T>
std::span<char> span_of_object(T& object) {
  static_assert(std::is_trivially_copyable_v<T>);
  return {reinterpret_cast<char*>(&object), sizeof object};
}

}  // namespace qpop::spool
