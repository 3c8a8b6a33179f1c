// SPDX-License-Identifier: MIT
// The locks of a spool that is about to be changed.
#pragma once

#include "common/spool/locks.h"
#include "popcheck/work.h"

namespace qpop::popcheck {

struct Locked {
  base::UniqueFd session;
  spool::MailLock mail;
  std::uint64_t size = 0;  ///< of the spool
};

/// Session lock, recovery of what was interrupted, mail locks. What is worth knowing goes to the warnings of `outcome`.
/// Errors: not_found (no state folder), busy, io, unsafe, denied, limit (mostly holes).
[[nodiscard]] base::Result<Locked> lock_all(Place& place, Outcome& outcome);

}  // namespace qpop::popcheck
