// SPDX-License-Identifier: MIT
// The dotlock of a spool, made by the monitor so that the process that works on the mail needs no right in the spool folder.
#pragma once

#include <memory>

#include "common/ipc/messages.h"
#include "popper/monitor/roles.h"

namespace qpop::monitor {

/// Of one maildrop job. Each step is done with the user's uid and the folder's group, then our rights are taken back. Never waits.
class SpoolDotlock {
 public:
  explicit SpoolDotlock(const MailOwner& owner);
  SpoolDotlock(SpoolDotlock&&) noexcept;
  SpoolDotlock& operator=(SpoolDotlock&&) noexcept;
  SpoolDotlock(const SpoolDotlock&) = delete;
  SpoolDotlock& operator=(const SpoolDotlock&) = delete;
  /// Removes the lock when the job left it behind.
  ~SpoolDotlock();

  [[nodiscard]] ipc::DotlockReply apply(const ipc::DotlockRequest& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Removes the lock file that a maildrop process of ours made itself and died over; only when it says so. It would keep everybody from the
/// spool until it is old enough to be broken. Not for root: there the monitor makes the lock, and has it still.
void remove_dotlock_of(const MailOwner& owner, pid_t pid);

}  // namespace qpop::monitor
