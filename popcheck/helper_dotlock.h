// SPDX-License-Identifier: MIT
// The lock file beside a spool, made by a process of its own when the one that reads the mail has no right in the folder.
#pragma once

#include <sys/types.h>

#include "common/base/unique_fd.h"
#include "common/files/dotlock.h"

namespace qpop::popcheck {

/// Asks the helper, without naming a path. The helper removes the lock when we are gone.
class HelperDotlock final : public files::Dotlock {
 public:
  explicit HelperDotlock(base::UniqueFd helper) : helper_(std::move(helper)) {}
  base::Result<bool> try_lock(bool kernel_locks_held) override;
  base::Status touch() override;
  base::Status unlock() override;

 private:
  struct Reply {
    int done = 0;
    int errno_value = 0;
  };
  base::Result<Reply> ask(char op, bool kernel_locks_held);

  base::UniqueFd helper_;
};

/// Starts a helper that has the uid of the spool's owner and the group of the folder, and does nothing but make, touch and
/// remove NAME.lock there. To be called as root. Errors: io, denied.
[[nodiscard]] base::Result<base::UniqueFd> start_dotlock_helper(int folder, const std::string& name, uid_t uid, files::LockCreation creation);

}  // namespace qpop::popcheck
