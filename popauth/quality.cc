// SPDX-License-Identifier: MIT
// Quality of a typed password.
#include "popauth/quality.h"

#include "common/base/text.h"

namespace qpop::popauth {

std::string_view advice_on(std::string_view password) {
  bool lower = false, upper = false, digit = false, other = false;
  for (const char c : password) {
    const bool letter = base::is_alpha(c);
    lower |= letter && base::to_lower(c) == c;
    upper |= letter && base::to_lower(c) != c;
    digit |= base::is_digit(c);
    other |= !letter && !base::is_digit(c);
  }
  const int classes = (lower ? 1 : 0) + (upper ? 1 : 0) + (digit ? 1 : 0);
  if (!other && !lower && !upper) return "Please use at least one non-numeric character.";
  const std::size_t least = other || classes == 3 ? 4 : classes == 2 ? 5 : 6;
  return password.size() >= least ? "" : "Please use a longer password.";
}

}  // namespace qpop::popauth
