// SPDX-License-Identifier: MIT
// --ask: both readings of a doubtful place side by side, and what the person decides.
#pragma once

#include <map>
#include <string>

#include "common/check/plan.h"

namespace qpop::popcheck {

/// An answer is kept with the octets it was given for, so that it holds when mail came meanwhile, and for nothing else.
class Answers {
 public:
  /// Shows the place on standard error and reads y, n or q (no to all that follow) from standard input.
  [[nodiscard]] base::Result<bool> ask(const std::string& label, const check::Finding& finding, const check::Edit& edit, check::Bytes& now);
  [[nodiscard]] base::Result<bool> recall(const check::Finding& finding, const check::Edit& edit, check::Bytes& now);

 private:
  std::map<std::string, bool> given_;
  bool stopped_ = false;
};

}  // namespace qpop::popcheck
