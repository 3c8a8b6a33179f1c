// SPDX-License-Identifier: MIT
// Findings as a table for people or as JSON for programs.
#pragma once

#include <string>
#include <vector>

#include "common/tls/judge.h"
#include "popcert/command_line.h"

namespace qpop::popcert {

struct Report {
  std::string object;  ///< the file, or the server
  std::vector<std::string> facts;
  tls::Findings findings;
  std::vector<tls::Certificate> certificates;
};

[[nodiscard]] std::string as_table(const Report& report);
[[nodiscard]] std::string as_json(const Report& report);
[[nodiscard]] ExitCode exit_code_of(const tls::Findings& findings);

}  // namespace qpop::popcert
