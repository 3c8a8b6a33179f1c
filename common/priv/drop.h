// SPDX-License-Identifier: MIT
// Giving up rights for good, with proof.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>

#include "common/base/result.h"

namespace qpop::priv {

struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home;
  std::string shell{};
};

/// System account by name. Errors: not_found, io.
[[nodiscard]] base::Result<Account> find_account(const std::string& name);
[[nodiscard]] base::Result<Account> find_account(uid_t uid);

/// Sets groups to exactly {gid}, then gid, then uid (real, effective, saved), and proves it: every id is read back and taking uid 0
/// back must fail. When not root, checks that uid is our own already and that we are not set-uid.
/// Errors: denied; the caller must end the process.
[[nodiscard]] base::Status drop_to(uid_t uid, gid_t gid);

/// Makes `folder` (which must be empty and owned by root) the root of this process. Only for root.
[[nodiscard]] base::Status enter_empty_root(const std::string& folder);

/// No new privileges by exec, no core, not dumpable.
[[nodiscard]] base::Status harden_process();

/// Closes every descriptor above 2 that is not listed.
void close_all_except(std::span<const int> keep);

/// Standard input, output and error become /dev/null.
[[nodiscard]] base::Status close_standard_streams();

/// Name shown by ps, at most 15 octets.
void set_process_name(const char* name);

}  // namespace qpop::priv
