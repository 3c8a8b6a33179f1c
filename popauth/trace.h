// SPDX-License-Identifier: MIT
// What the program does, step by step, for -debug (system log) and -trace (a file). Never a password or a verifier.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace qpop::popauth {

/// Opens `path` for appending with the caller's rights, mode 0600: a regular file of the caller with one name, never
/// through a symbolic link, made when it is missing. The original opened it with the owner's rights (CVE-2001-1487).
/// Errors  unsafe: other type, owner or several names; denied, io.
[[nodiscard]] base::Status open_trace(const std::string& path);

/// Trace lines go to the system log as well.
void trace_to_log();

/// One line, or nothing when tracing is off.
void trace(std::string_view text);

}  // namespace qpop::popauth
