// SPDX-License-Identifier: MIT
// The rule that makes an ordinary user think again about a weak password; the one of the old passwd(1).
#pragma once

#include <string_view>

namespace qpop::popauth {

/// Empty: good enough. Else the advice to print; the second attempt counts in any case.
/// Good: 4 octets of lower, upper and digit, or with any other octet; 5 of two of these classes; 6 of one letter case.
[[nodiscard]] std::string_view advice_on(std::string_view password);

}  // namespace qpop::popauth
