// SPDX-License-Identifier: MIT
// One process a spool, some of them at the same time; what they say is collected and printed in whole pieces.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "popcheck/target.h"

namespace qpop::popcheck {

/// What a process said: text or JSON for standard output, and JSON with a map for the page.
struct Said {
  std::string output;
  std::string page;
  int code = kFailed;
};

/// Work in the process of one target: prints nothing, returns what is to be said.
using Work = std::function<Said(const Target&)>;

/// Runs `work` for each target in a child of its own, at most `at_once` together; `take` gets the results in the order of
/// the targets. Children are ended by nobody but themselves.
void run_all(const std::vector<Target>& targets, unsigned at_once, const Work& work, const std::function<void(std::size_t, Said)>& take);

}  // namespace qpop::popcheck
