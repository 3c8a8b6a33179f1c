// SPDX-License-Identifier: MIT
// The command line of popauth: single-dash long options as the original had them, two dashes as well.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/secret.h"

namespace qpop::popauth {

enum class Verb : std::uint8_t { set, remove, list, init, help, version };

struct Command {
  Verb verb = Verb::set;
  std::string user;  ///< empty: the caller; list: may be "ALL"
  base::Secret password;
  bool has_password = false;  ///< a password stood on the command line; `password` holds it
  bool from_stdin = false;
  bool safe = false;
  bool ignored_trace = false;  ///< -debug or -trace was given
  std::string database;        ///< -db; empty: the default
  std::string configuration;   ///< -f: a qpopper.config whose auth-db counts
};

/// Parses argv[1..]; a password in it is overwritten with zeros there, whether the command is accepted or not.
/// Errors  denied: wrong use, text for the user; the usage should follow.
[[nodiscard]] base::Result<Command> parse_command_line(int argc, char** argv);

[[nodiscard]] std::string_view usage();

}  // namespace qpop::popauth
