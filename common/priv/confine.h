// SPDX-License-Identifier: MIT
// The two steps by which a role gives up its rights. Between them it may still open what it needs by name, with the rights of its user.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>

#include "common/base/result.h"
#include "common/priv/sandbox.h"

namespace qpop::priv {

struct Confinement {
  std::span<const int> keep;  ///< descriptors that stay open; -1 counts as none
  std::string empty_root{};   ///< to be entered; empty: the root stays
  uid_t uid = 0;
  gid_t gid = 0;
};

/// First: other descriptors are closed, the standard streams become /dev/null, the root is an empty folder where one is named, the user is
/// `uid` for good, and the process is hardened.
/// Errors  those of drop.h; the caller must end the process.
[[nodiscard]] base::Status confine(const Confinement& confinement);

/// session: the allow-list. file_role: everything but what only an attacker would use.
enum class Calls : std::uint8_t { session, file_role };

/// Then: resources, files outside `folders`, and system calls are out of reach. What this kernel lacks is done without; the monitor has
/// logged it.
/// Errors  those of sandbox.h but unsupported; the caller must end the process.
[[nodiscard]] base::Status wall_in(const Limits& limits, std::span<const int> folders, Calls calls);

}  // namespace qpop::priv
