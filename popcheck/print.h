// SPDX-License-Identifier: MIT
// Reports as text and as JSON. Everything that came from a spool or a file name is escaped already, or here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/check/plan.h"
#include "popcheck/target.h"

namespace qpop::popcheck {

/// What was done with one spool.
struct Outcome {
  int code = kClean;
  std::string result = "clean";  ///< clean, findings, repaired, would-repair, failed
  std::string message;           ///< for people: what was done, or why not
  std::string ledger;            ///< its path
  check::Report report;          ///< of the spool as it was found
  bool has_report = false;
  struct After {
    std::uint64_t size = 0;
    std::uint64_t messages = 0;
  };
  std::optional<After> after;    ///< a repair, or one that would be made
  std::vector<check::Edit> edits;
  std::string diff;              ///< of --dry-run
  std::vector<std::string> warnings;
};

[[nodiscard]] std::string text_of(const Target& target, const Outcome& outcome, bool quiet);
/// One object; `cells`: with the map of the bytes.
[[nodiscard]] std::string json_of(const Target& target, const Outcome& outcome, bool cells);
/// A path in a text for people: what a terminal would obey is escaped.
[[nodiscard]] std::string shown(const std::string& path);
/// The row of a finding, or all rows for "all". Empty: there is none of that name.
[[nodiscard]] std::string explain(std::string_view name);

}  // namespace qpop::popcheck
