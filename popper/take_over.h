// SPDX-License-Identifier: MIT
// popper --compare-uidl and --import-uidl: the work is the owner's, the lock file beside his spool is made as the monitor makes it.
//
// Runs as: root, or the user who started it.
#pragma once

#include "popper/monitor/roles.h"
#include "popper/takeover/takeover.h"

namespace qpop {

/// Returns the exit code. The work is done by a child that drops to the owner; we make, freshen and remove the lock file when it asks, in the
/// one spool folder and under the one name that `owner` says, and with his uid. `by_link`: option no-atomic-open.
int take_over(takeover::Task task, monitor::MailOwner owner, bool by_link);

}  // namespace qpop
