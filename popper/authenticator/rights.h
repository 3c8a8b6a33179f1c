// SPDX-License-Identifier: MIT
// What every process that opens the database gives up first.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>

#include "common/base/result.h"

namespace qpop::authenticator {

/// Closes all descriptors but `keep` (-1 counts as none), becomes `uid`, and leaves no file in reach but the folder of `database`.
/// Errors  those of priv; the caller must end the process.
[[nodiscard]] base::Status give_up_rights(std::span<const int> keep, const std::string& database, uid_t uid, gid_t gid);

}  // namespace qpop::authenticator
