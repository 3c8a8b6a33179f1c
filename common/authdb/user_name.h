// SPDX-License-Identifier: MIT
// Which names an account may have.
#pragma once

#include <algorithm>
#include <string_view>

#include "common/base/text.h"

namespace qpop::authdb {

inline constexpr std::size_t kMaxUserName = 64;

/// 1 to 64 octets of [A-Za-z0-9._@+-], not starting with '.' or '-', not ending in ".lock".
///
/// A name becomes part of file names (maildrop, its dotlock, bulletins) and of log lines: no separator, no hidden file,
/// no option, no lock file of somebody else can be named by it. Used by the authenticator before any look-up, and by
/// popauth.
[[nodiscard]] constexpr bool is_acceptable_user_name(std::string_view name) {
  constexpr std::string_view kOthers = "._@+-";
  if (name.empty() || name.size() > kMaxUserName || name.front() == '.' || name.front() == '-') return false;
  if (name.ends_with(".lock")) return false;
  return std::ranges::all_of(name, [&](char c) {
    return base::is_alpha(c) || base::is_digit(c) || kOthers.find(c) != std::string_view::npos;
  });
}

}  // namespace qpop::authdb
