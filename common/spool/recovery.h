// SPDX-License-Identifier: MIT
// Finishing a committed update, at once or after a crash.
#pragma once

#include <cstdint>
#include <memory>

#include "common/spool/context.h"
#include "common/spool/journal.h"
#include "common/spool/locks.h"

namespace qpop::spool {

enum class Recovery : std::uint8_t {
  nothing,    ///< no journal
  redone,     ///< the update was carried out
  finished,   ///< the update had been carried out; only the journal was left
  salvaged,   ///< the spool was rewritten by somebody else: missing messages were appended, the journal is kept as
              ///< saved-<time>
  set_aside,  ///< the journal was not whole and the spool had not been touched, or it held no mail and the spool was
              ///< rewritten by somebody else; it is kept as saved-<time>
};

/// Does what the journal says: moves the kept octets, cuts the spool, drops the journal. Mail that was appended behind
/// old_size without a lock is carried along. On errors the journal stands, and recovery starts again from it.
///
/// Result  size of the spool. Errors: changed (the spool is shorter than the journal knows it), busy (it grows faster
/// than we follow), no_space, io.
[[nodiscard]] base::Result<std::uint64_t> carry_out(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                                    std::unique_ptr<Journal> journal, Warnings& warnings);

/// Recovers the locked maildrop. Errors: unsupported (journal of a later version), no_space, io; the journal stands.
[[nodiscard]] base::Result<Recovery> recover_locked(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                                    Warnings& warnings);

}  // namespace qpop::spool
