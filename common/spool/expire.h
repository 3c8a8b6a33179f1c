// SPDX-License-Identifier: MIT
// Deleting messages by age: option expire-after.
#pragma once

#include <cstdint>

#include "common/base/result.h"
#include "common/spool/context.h"
#include "common/spool/expunged.h"
#include "common/spool/locks.h"

namespace qpop::spool {

/// Has a day passed since it was done, or was it never done?
[[nodiscard]] bool expiry_is_due(const Context& context, const MaildropPaths& paths);

struct Expiry {
  std::int64_t days = 0;
  bool keep_first = false;   ///< the first message is no mail
  const Expunged& expunged;  ///< what was deleted before goes along, and is not counted
};

/// Removes messages whose postmark is more than `days` days old, as an update does it. One without a date stays.
/// Precondition: the spool is locked, no journal stands. Result: how many. Errors: as apply_update().
[[nodiscard]] base::Result<std::uint32_t> expire(const Context& context, const MaildropPaths& paths, MailLock& lock, const Expiry& expiry,
                                                 Warnings& warnings);

}  // namespace qpop::spool
