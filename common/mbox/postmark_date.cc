// SPDX-License-Identifier: MIT
// Day of a postmark.
#include "common/mbox/postmark_date.h"

#include <algorithm>
#include <chrono>

#include "common/base/text.h"
#include "common/mbox/calendar.h"

namespace qpop::mbox {

namespace {

std::string_view take_word(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  const auto word = rest.substr(0, rest.find_first_of(" \t\r"));
  rest.remove_prefix(word.size());
  return word;
}

}  // namespace

std::optional<std::int64_t> day_of_postmark(std::string_view date) {
  take_word(date);  // weekday
  const auto month_name = take_word(date);
  const auto month = std::ranges::find_if(kMonths, [&](std::string_view name) { return base::equal_ignoring_case(name, month_name); });
  const auto day = base::parse_decimal(take_word(date));
  take_word(date);  // time
  std::optional<std::uint64_t> year;
  // Before or behind a zone, which may be two words.
  for (auto word = take_word(date); !word.empty() && !year; word = take_word(date)) {
    if (word.size() == 4) year = base::parse_decimal(word);
  }
  if (month == kMonths.end() || !day || !year || *day > 31 || *year < 1970) return std::nullopt;
  const std::chrono::year_month_day found{std::chrono::year{static_cast<int>(*year)},
                                          std::chrono::month{static_cast<unsigned>(month - kMonths.begin()) + 1},
                                          std::chrono::day{static_cast<unsigned>(*day)}};
  if (!found.ok()) return std::nullopt;
  return std::chrono::sys_days{found}.time_since_epoch().count();
}

}  // namespace qpop::mbox
