// SPDX-License-Identifier: MIT
// Changing the octets of a locked spool at will: what a repair, and its undoing, do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/spool/context.h"
#include "common/spool/journal.h"
#include "common/spool/locks.h"

namespace qpop::spool {

/// One change: `removed` octets at `offset` give way to `inserted`, or to `octets`.
struct Change {
  std::uint64_t offset = 0;
  std::uint64_t removed = 0;
  std::string inserted{};
  Piece octets{};  ///< or octets of a file, in place of a text
};

struct RewritePlan {
  std::uint64_t old_size = 0;  ///< of the spool that the changes were planned for
  listing::SpoolFormat format = listing::SpoolFormat::mbox;
  /// Where the journal begins, at the first change at the latest: the start of a message in the spool as it will be, so
  /// that its octets can be read as a mailbox should another program rewrite the spool before recovery.
  std::uint64_t first = 0;
  std::vector<Change> changes{};  ///< ascending, not overlapping
};

/// Makes the changes in place, in the same inode, under a journal as an update does it. A crash at any moment leaves the
/// old spool, the new one, or a journal from which recovery makes the new one; mail that is appended stays behind it.
///
/// Precondition: the spool is locked, no journal stands. Result: size of the spool.
/// Errors: changed (the spool is not old_size octets long: nothing was touched), no_space (nothing was touched), io (nothing
/// was touched, or the journal stands).
[[nodiscard]] base::Result<std::uint64_t> rewrite_spool(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                                        const RewritePlan& plan, Warnings& warnings);

}  // namespace qpop::spool
