// SPDX-License-Identifier: MIT
// Names in the dates of postmarks and header fields, which are English whatever the locale. Source: RFC 5322 section 3.3; asctime(3).
#pragma once

#include <array>
#include <string_view>

namespace qpop::mbox {

inline constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
inline constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

}  // namespace qpop::mbox
