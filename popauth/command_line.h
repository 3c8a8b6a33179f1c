// SPDX-License-Identifier: MIT
// The command line of popauth: single-dash long options as the original had them, two dashes as well.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/secret.h"

namespace qpop::popauth {

enum class Verb : std::uint8_t {
  set,
  remove,
  list,
  init,
  disable,
  enable,
  check,
  import_file,
  export_file,
  backup,
  restore,
  compact,
  help,
  version,
};

/// The name the program was called by: popauth and apopauth, or scramauth, which takes the APOP secret away unless told
/// `-only`.
enum class Mode : std::uint8_t { apop, scram };

struct Command {
  Mode mode = Mode::apop;
  Verb verb = Verb::set;
  std::string user;  ///< empty: the caller; list: may be "ALL"
  base::Secret password;
  bool has_password = false;  ///< a password stood on the command line; `password` holds it
  bool from_stdin = false;
  bool safe = false;
  bool only = false;
  bool dry_run = false;
  bool replace = false;
  bool with_verifiers = false;
  bool debug = false;
  std::uint32_t iterations = 0;  ///< 0: not given
  std::string trace;             ///< file for trace lines
  std::string file;              ///< of import, export, backup, restore; "-": standard input or output
  std::string format;            ///< of import; empty: found out
  std::string database;          ///< -db; empty: the default
  std::string configuration;     ///< -f: a qpopper.config whose auth-db counts
};

/// Parses argv[1..]; a password in it is overwritten with zeros there, whether the command is accepted or not.
/// Errors  denied: wrong use, text for the user; the usage should follow.
[[nodiscard]] base::Result<Command> parse_command_line(int argc, char** argv);

[[nodiscard]] std::string_view usage();

}  // namespace qpop::popauth
