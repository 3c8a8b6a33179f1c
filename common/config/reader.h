// SPDX-License-Identifier: MIT
// Reads configuration files: `set name [= value]`, `reset name`, `#` comments.
// Source: the original's grammar, with its faults mended (last line without newline, nesting depth, errors in included files).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/config/settings.h"

namespace qpop::config {

/// One fault, ready for the log: "qpopper.config line 12: timeout = \"5 minuts\": unit not known; ...".
struct Problem {
  std::string text;
  bool warning = false;  ///< obsolete options and the like; everything else keeps the server from starting
};

/// Reads `path` into `settings` and collects every fault, those of included files too; a line at fault changes nothing.
[[nodiscard]] std::vector<Problem> read_file(const std::string& path, Settings& settings);

/// The same for text that is already in memory; `name` stands for the file in messages.
[[nodiscard]] std::vector<Problem> read_text(std::string_view text, const std::string& name, Settings& settings);

/// True when one of them is not a warning.
[[nodiscard]] bool has_errors(const std::vector<Problem>& problems);

}  // namespace qpop::config
