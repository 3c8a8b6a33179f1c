// SPDX-License-Identifier: MIT
// The command line of popper: every option of the table as --name, Qpopper's letters, configuration files in their place.
#pragma once

#include <string>
#include <vector>

#include "common/config/reader.h"

namespace qpop::config {

enum class Action : std::uint8_t { serve, help, version, check, print_config, recover, compare_uidl, import_uidl, import_bulldb, who, kick, metrics };

struct CommandLine {
  Action action = Action::serve;
  bool foreground = false;
  std::string recover_user;  ///< empty: all
  std::string uidl_user;     ///< of --compare-uidl and --import-uidl
  std::string kick_user;
  std::string bulldb;        ///< file of --import-bulldb
  std::string against;       ///< a file, or HOST:PORT
  bool has_addresses = false;  ///< a listen address stood on the command line itself
  std::vector<std::string> files;  ///< that -f named
  std::vector<Problem> problems;
  Settings settings;
};

/// Evaluates arguments from left to right, -f files inline (later ones override). Never throws; faults end in `problems`.
/// `arguments` without the program's name.
[[nodiscard]] CommandLine read_command_line(const std::vector<std::string>& arguments);

}  // namespace qpop::config
