// SPDX-License-Identifier: MIT
// What a set-uid program does before anything else, and the limits it needs.
//
// The caller chose descriptors, umask, limits, timers, signal settings, environment and terminal: all of it is hostile.
// Runs as: pop (set-uid) with the real uid of any user, or root, or the owner of a private database.
#pragma once

#include "common/base/result.h"

namespace qpop::popauth {

/// Descriptors 0 to 2 open and all others closed, umask 077, no core, not dumpable, no timers, signals at their
/// defaults and unblocked except those that must not hit us (SIGXFSZ, SIGTSTP, SIGTTIN, SIGTTOU), environment replaced
/// by two constants. Ends the process when the first three descriptors cannot be had.
void make_start_safe();

/// Raises soft limits where the hard limit allows it.
/// Errors  limit: a limit is too low to finish a write; nothing has been written yet.
[[nodiscard]] base::Status require_limits();

/// One second, through all signals: an attacker at somebody's terminal gets no more than a guess a second.
void wait_before_guess();

/// While it lives, the process ends with ExitCode::timed_out after 10 s, so that nobody can keep the database locked
/// with us. Keyboard signals are ignored: the time is short, and a commit should be reported.
class TimeBound {
 public:
  TimeBound();
  TimeBound(const TimeBound&) = delete;
  TimeBound& operator=(const TimeBound&) = delete;
  ~TimeBound();
};

}  // namespace qpop::popauth
