// SPDX-License-Identifier: MIT
// The dotlock of a spool, made by the monitor so that the process that works on the mail needs no right in the spool folder.
#pragma once

#include <sys/types.h>

#include "common/ipc/messages.h"
#include "popper/monitor/roles.h"

namespace qpop::monitor {

/// Takes, refreshes or removes <spool_dir>/<name>.lock with the user's uid and the folder's group, then takes our rights back.
/// `holder` is written into the file. Never waits.
[[nodiscard]] ipc::DotlockReply apply_dotlock(const MailOwner& owner, pid_t holder, const ipc::DotlockRequest& request);

}  // namespace qpop::monitor
