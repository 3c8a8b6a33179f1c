// SPDX-License-Identifier: MIT
// Looks into the database for popper's commands: could the authenticator work with it (--check), whom does it know (--import-bulldb).
//
// Runs as: root, or the starting user; the database is parsed in a child with the authenticator's rights.
#pragma once

#include <sys/types.h>

#include <set>
#include <string>

#include "common/base/result.h"

namespace qpop::authenticator {

struct DatabaseToCheck {
  std::string path;
  int key = -1;  ///< private key of the APOP secrets, open; -1: there is none, which is no matter of this check
  uid_t uid = 0;
  gid_t gid = 0;
};

/// Opens the database as a login would and reads every account. A warning for what costs some logins only: a key of another database,
/// damaged accounts; empty when all is well. The texts may hold file names, printable ASCII only.
/// Errors  those of authdb::Database::open(); io: the child died or took half a minute.
[[nodiscard]] base::Result<std::string> check_database(const DatabaseToCheck& what);

/// The names of all accounts. Errors  as above; limit: more of them than any site has.
[[nodiscard]] base::Result<std::set<std::string, std::less<>>> list_names(const DatabaseToCheck& what);

}  // namespace qpop::authenticator
