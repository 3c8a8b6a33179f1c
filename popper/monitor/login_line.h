// SPDX-License-Identifier: MIT
// The line that is logged at a login: option log-login.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace qpop::monitor {

struct LoginFacts {
  std::string_view version;  ///< %0
  std::string_view user;     ///< %1
  std::string_view name;     ///< %2: of the client
  std::string_view address;  ///< %3
};

/// Errors: malformed: another % than %0 to %3.
[[nodiscard]] base::Result<std::string> login_line(std::string_view pattern, const LoginFacts& facts);

}  // namespace qpop::monitor
