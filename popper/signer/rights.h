// SPDX-License-Identifier: MIT
// What the signer gives up before it reads a file; also used for popper --check.
// Runs as: root, or the starting user; tls-user afterwards.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>

#include "common/base/result.h"

namespace qpop::signer {

/// `keep`: descriptors that stay open. `empty_root`: "" for none. Errors: the process must end.
[[nodiscard]] base::Status give_up_rights(std::span<const int> keep, const std::string& empty_root, uid_t uid, gid_t gid);

}  // namespace qpop::signer
