// SPDX-License-Identifier: MIT
// Texts on standard error; the words of the original where it had any.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "common/base/error.h"
#include "popauth/exit_code.h"

namespace qpop::popauth {

inline constexpr std::string_view kOnlyRoot = "Only superuser can perform the requested function";
inline constexpr std::string_view kOnlyAdministrator =
    "Only superuser or user \"pop\" can perform the requested function";

/// "popauth: TEXT" and the exit code to return.
inline ExitCode fail(std::string_view text, ExitCode code = ExitCode::failed) {
  (void)std::fprintf(stderr, "popauth: %.*s\n", static_cast<int>(text.size()), text.data());
  return code;
}

inline ExitCode fail(const base::Error& error, ExitCode code = ExitCode::failed) {
  return fail(error.message(), code);
}

/// A line without the program's name in front.
inline void say(std::string_view text) {
  (void)std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
}

inline std::string no_entry(std::string_view user) {
  std::string text = "no entry for \"";
  return text.append(user).append("\" in POP authentication DB");
}

}  // namespace qpop::popauth
