// SPDX-License-Identifier: MIT
// Reads configuration files: `set name [= value]`, `reset name`, `#` comments.
// Source: the original's grammar, with its faults mended (last line without newline, nesting depth, errors in included files).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "common/config/settings.h"

namespace qpop::config {

/// One fault, ready for the log: "qpopper.config line 12: timeout = \"5 minuts\": unit not known; ...".
struct Problem {
  std::string text;
  bool warning = false;  ///< obsolete options and the like; everything else keeps the server from starting
  bool of_command_line = false;  ///< the caller's fault, and not a file's or the system's
};

/// Reads `path` into `settings` and collects every fault, those of included files too; a line at fault changes nothing.
[[nodiscard]] std::vector<Problem> read_file(const std::string& path, Settings& settings);

/// The same for text that is already in memory; `name` stands for the file in messages.
[[nodiscard]] std::vector<Problem> read_text(std::string_view text, const std::string& name, Settings& settings);

/// Whose files are trusted where a user's options are read, and what they may set. Every included file counts for itself.
struct OptionFile {
  std::string path;
  uid_t user = 0;           ///< his files may set class N
  uid_t administrator = 0;  ///< files of this uid may set `administrator_may`
  Scope administrator_may = Scope::N;
};

/// Reads an option file of a user, with the rights of the caller, who is that user. A missing file is no fault; one that somebody else
/// than user or administrator owns, or that others can write, that is no regular file or longer than 64 KiB is not read. Everything that
/// is wrong is a warning: the session goes on.
[[nodiscard]] std::vector<Problem> read_option_file(const OptionFile& file, Settings& settings);

/// True when one of them is not a warning.
[[nodiscard]] bool has_errors(const std::vector<Problem>& problems);

}  // namespace qpop::config
