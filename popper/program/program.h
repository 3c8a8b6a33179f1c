// SPDX-License-Identifier: MIT
// Programs of the administrator's choice: mail-command for XTND XMIT, login-command after a login.
//
// Runs as: the user (mail-command), or session-user (login-command). No shell, a clean environment, no descriptor of ours, a time
// limit. The only role that executes something.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/ipc/channel.h"

namespace qpop::program {

struct Start {
  std::string command;                   ///< full path, and arguments separated by blanks
  std::vector<std::string> arguments;    ///< further ones
  std::vector<std::string> environment;  ///< NAME=value
  uid_t uid = 0;
  gid_t gid = 0;
  std::string folder = "/";  ///< to work in
  ipc::Channel monitor;      ///< for log lines
  ipc::Channel session;      ///< gives the program's standard input and gets its exit code; invalid: no input, nobody to tell
};

/// Words of `command`; empty when it is not a full path.
[[nodiscard]] std::vector<std::string> split_command(const std::string& command);

/// Drops to the user, runs the program, and returns 0 when it did.
int run_program(Start start);

}  // namespace qpop::program
