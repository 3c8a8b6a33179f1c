// SPDX-License-Identifier: MIT
// The journal that holds the kept octets.
//
// Host byte order, complete before it gets its name:
//     JournalHeader, padded to kTailOffset
//     tail       new_size - first octets: what [first, new_size) of the spool will be
//     old sums   u32 for each sector of [first, min(new_size, old_size)) as it was when the journal was made
//     DataJournalEnd
// A sector is 512 octets of the spool at a multiple of 512, cut at both ends of the range: what a disk writes whole or
// not at all. Source: the update protocol, DATA mode.
//
// A rewrite (version 2) may have new_size above old_size. Then the spool is made longer in one step, and [old_size,
// new_size) written and synced, before anything is overwritten: until then all old octets stand, and mail that comes
// behind old_size can be taken into a new journal; after it, mail comes behind new_size.
#pragma once

#include <cstdint>
#include <memory>

#include "common/base/unique_fd.h"
#include "common/spool/journal.h"

namespace qpop::spool {

inline constexpr Magic kDataMagic{'Q', 'P', 'O', 'P', 'J', 'N', 'L', '\n'};
inline constexpr std::uint64_t kSector = 512;
inline constexpr std::uint64_t kTailOffset = 512;

struct DataJournalEnd {
  digest::Digest16 tail_hash{};
  digest::Digest16 old_sums_hash{};
  digest::Digest16 whole_hash{};  ///< of the header and the two hashes
};
static_assert(sizeof(DataJournalEnd) == 48 && std::is_trivially_copyable_v<DataJournalEnd>);

class DataJournal final : public Journal {
 public:
  /// As commit_journal(). no_space is noticed before anything else happens.
  static base::Result<std::unique_ptr<Journal>> commit(const Context& context, const MaildropPaths& paths,
                                                       MailLock& lock, const JournalPlan& plan, bool replaces);
  static base::Result<std::unique_ptr<Journal>> load(const Context& context, MailLock& lock, base::UniqueFd fd,
                                                     std::uint64_t size);

  base::Result<SpoolState> compare(const Context& context, MailLock& lock, std::uint64_t size) override;
  base::Status move(const Context& context, MailLock& lock) override;
  base::Result<bool> must_grow(const Context& context, MailLock& lock) override;
  base::Status drop(const Context& context, int state_folder_fd) override;
  [[nodiscard]] Piece mail() const override { return {fd_.get(), kTailOffset, tail_size()}; }

 private:
  struct Sectors {
    bool all_new = true;         ///< [F, N) is the tail
    bool all_old_or_new = true;  ///< every sector of [F, N) is as it was or as it will be
  };
  [[nodiscard]] base::Result<Sectors> compare_sectors(const Context& context, MailLock& lock) const;
  /// Is [old_size, new_size) there, each sector new or never written?
  [[nodiscard]] base::Result<Sectors> compare_grown(const Context& context, MailLock& lock) const;
  /// With all of it there: was the spool made longer, or does mail behind old_size only look like that?
  [[nodiscard]] base::Result<bool> has_grown(const Context& context, MailLock& lock, std::uint64_t size) const;
  [[nodiscard]] base::Result<SpoolState> compare_longer(const Context& context, MailLock& lock, std::uint64_t size);
  [[nodiscard]] base::Status grow(const Context& context, MailLock& lock);
  [[nodiscard]] bool is_longer() const { return header_.new_size > header_.old_size; }
  [[nodiscard]] std::uint64_t tail_size() const { return header_.new_size - header_.first; }

  base::UniqueFd fd_;
};

}  // namespace qpop::spool
