// SPDX-License-Identifier: MIT
// One piece of work with the owner's rights in a process of its own.
//
// A set-uid process whose real uid is still the caller's can be stopped by the caller at any moment, with a lock or a
// reader slot in its hands. The child takes the owner's uid for good before it opens the database, so that nobody but the
// owner and root can signal it, and hands the answer back through a pipe. Who is not lent the rights needs no child.
#pragma once

#include <functional>
#include <string>

#include "common/base/result.h"
#include "popauth/identity.h"

namespace qpop::popauth {

/// Runs `work` and returns what it returned, at most 64 KiB; bounded by TimeBound, which ends this process as well.
/// Errors  those of `work`, kind and text; io: the child died.
[[nodiscard]] base::Result<std::string> call_as_owner(const Identity& identity,
                                                      const std::function<base::Result<std::string>()>& work);

}  // namespace qpop::popauth
