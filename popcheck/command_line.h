// SPDX-License-Identifier: MIT
// The command line of popcheck.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace qpop::popcheck {

/// They stand in popcheck(8).
enum ExitCode : int { kClean = 0, kFindings = 1, kRepaired = 2, kFailed = 3, kUsage = 4 };

enum class Verb : std::uint8_t { check, repair, dry_run, undo, verify, explain, locks, recover, help, version };

struct Command {
  Verb verb = Verb::check;
  std::vector<std::string> targets;  ///< users, or files with a slash in their name
  std::string config = "/etc/qpopper.config";
  bool config_given = false;
  std::string ledger_dir;
  std::string report;
  std::string finding;    ///< of --explain; empty: all
  bool all = false;
  bool from_stdin = false;
  bool json = false;
  bool quiet = false;
  bool aggressive = false;
  bool ask = false;
  unsigned jobs = 0;  ///< 0: as many as there are processors
  std::uint32_t lock_timeout_s = 60;
};

/// `arguments` without the program's name. Errors: malformed, a text for the user.
[[nodiscard]] base::Result<Command> parse_command_line(const std::vector<std::string>& arguments);
[[nodiscard]] std::string usage();

}  // namespace qpop::popcheck
