// SPDX-License-Identifier: MIT
// A repair in memory and what must hold for each: nothing lost, undone exactly, nothing left to do, served.
#pragma once

#include <string>

#include "common/check/plan.h"

namespace qpop::test {

struct Repaired {
  std::string bytes;
  std::string changes;  ///< what was done, for messages
  std::string wrong;    ///< empty: all holds
};

[[nodiscard]] Repaired repair_in_memory(const std::string& damaged, bool aggressive = false);
/// Spool and damage follow from the seed. Empty: all holds.
[[nodiscard]] std::string judge_random(std::uint64_t seed);
[[nodiscard]] std::string text_of(const check::Report& report);

}  // namespace qpop::test
