// SPDX-License-Identifier: MIT
// Exit codes of popauth; documented in man/popauth.8.
#pragma once

namespace qpop::popauth {

enum class ExitCode : int {
  ok = 0,
  failed = 1,     ///< any refusal or failure, wrong use, -help: the one code the original had
  unsafe = 2,     ///< a limit set by the caller is too low, or the program has rights it must not have
  timed_out = 3,  ///< gave up after 10 s: database locked, or disk too slow
  partly = 4,     ///< an import in which not every entry could be used
};

}  // namespace qpop::popauth
