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

}  // namespace qpop::monitor
