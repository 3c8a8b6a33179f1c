// SPDX-License-Identifier: MIT
// From findings to a repair: what would be changed, and what the spool would be then.
#pragma once

#include <functional>

#include "common/check/patch.h"
#include "common/check/reading.h"

namespace qpop::check {

/// Asked about each doubtful change; `before` is what is read where it would be made. true: make it.
using Decide = std::function<base::Result<bool>(const Finding& finding, const Edit& edit, Bytes& before)>;

struct PlanOptions {
  ReadOptions read;
  bool aggressive = false;  ///< doubtful changes too
  Decide decide{};          ///< without: what `aggressive` says
  int most_rounds = 12;     ///< of changing; more than any damage needs that is known
};

struct Plan {
  Report before;
  Report after;   ///< of the spool as it would be
  Patch patch{0};
  bool settled = true;  ///< false: after many rounds a reading still finds something to change
};

/// Reads, changes in memory, and reads again until nothing is left to change; mostly twice.
[[nodiscard]] base::Result<Plan> plan_repair(Bytes& bytes, const PlanOptions& options);

}  // namespace qpop::check
