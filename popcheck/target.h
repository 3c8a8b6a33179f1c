// SPDX-License-Identifier: MIT
// Which spools are meant, and under whose rights each is looked at.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "common/base/text.h"
#include "common/config/settings.h"
#include "popcheck/command_line.h"

namespace qpop::popcheck {

struct Target {
  std::string label;      ///< as it is printed
  std::string folder;     ///< of the spool
  std::string name;       ///< of the spool in it
  std::string user;       ///< empty: a file that was named
  uid_t uid = 0;
  gid_t gid = 0;
  std::string state;      ///< folder for journal and ledgers; empty: there is none
  std::vector<std::string> drops{};  ///< where Qpopper may have left a temporary drop
  bool in_spool_dir = false;     ///< in a folder that is the administrator's
  bool state_of_popper = false;  ///< where popper keeps its own
  bool make_state = false;       ///< by us with the rights that we have now: popper would make it so at the next login
  std::string argument;   ///< what to type behind popcheck --repair; empty: there is no way
  std::string fault;      ///< why nothing can be done
  [[nodiscard]] std::string path() const { return base::path_in(folder, name); }
};

/// Reads the configuration that the command names; a default that does not exist is none. Errors: malformed.
[[nodiscard]] base::Result<config::Settings> read_settings(const Command& command);

/// The target that a ledger names, found as one that was named on the command line. `path`: absolute, and not to be believed: nothing
/// but its owner says whose rights are taken.
[[nodiscard]] Target find_spool_of_ledger(const Command& command, const config::Settings& settings, const std::string& path);

/// Looks at names, owners and accounts; opens no spool. Errors: what keeps all of them from being found.
[[nodiscard]] base::Result<std::vector<Target>> find_targets(const Command& command, const config::Settings& settings);

}  // namespace qpop::popcheck
