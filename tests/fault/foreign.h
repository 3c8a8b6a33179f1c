// SPDX-License-Identifier: MIT
// A mail reader that knows nothing of us rewrites the spool between a crash and the recovery.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/fault/scenarios.h"

namespace qpop::test {

/// What must be there in the end: cores of messages, and how many of each.
using Cores = std::map<std::string, std::size_t>;

struct ForeignRewrite {
  std::string what;   ///< for the message of a failed test
  Cores required;     ///< what the reader kept, and what of the kept mail stood in the journal
  Cores known;        ///< every message there ever was, and those the reader made of them
  bool whole = true;  ///< the reader wrote whole messages only
};

/// The messages of a spool, as a reader sees them.
[[nodiscard]] std::vector<std::string> split(const std::string& spool, bool mmdf);

/// Rewrites the spool of `drop` in a way chosen at random.
ForeignRewrite rewrite_spool(const MaildropFixture& drop, const Scenario& s, const std::vector<std::string>& delivered,
                             std::mt19937& random);

/// More mail came after the rewrite.
void add_delivery(ForeignRewrite& rewrite, const std::string& unit);

/// What of the required mail is missing, or is there in pieces although the reader wrote no pieces.
struct ForeignVerdict {
  bool lost = false;
  bool torn = false;
  std::string text;
};
[[nodiscard]] ForeignVerdict judge_rewritten(const MaildropFixture& drop, const Scenario& s,
                                             const ForeignRewrite& rewrite);

}  // namespace qpop::test
