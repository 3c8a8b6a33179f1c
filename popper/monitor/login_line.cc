// SPDX-License-Identifier: MIT
// The line of a login. Never a format of printf: the original's was, and a configuration could crash it.
#include "popper/monitor/login_line.h"

#include <fmt/format.h>

#include "common/base/text.h"

namespace qpop::monitor {

base::Result<std::string> login_line(std::string_view pattern, const LoginFacts& facts) {
  std::string out;
  while (!pattern.empty()) {
    const auto percent = pattern.find('%');
    out += pattern.substr(0, percent);
    if (percent == std::string_view::npos) break;
    const char which = percent + 1 < pattern.size() ? pattern[percent + 1] : '\0';
    if (which < '0' || which > '3') {
      return base::Error{base::ErrorKind::malformed,
                         fmt::format("\"{}\" is invalid in a log-login string; want %0, %1, %2 or %3", base::escape_untrusted(pattern.substr(percent, 2)))};
    }
    out += which == '0' ? facts.version : which == '1' ? facts.user : which == '2' ? facts.name : facts.address;
    pattern.remove_prefix(percent + 2);
  }
  return out;
}

}  // namespace qpop::monitor
