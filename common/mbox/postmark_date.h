// SPDX-License-Identifier: MIT
// The day on which a message was delivered, from its postmark.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace qpop::mbox {

/// Days since 1 January 1970 of FromLine::date; the zone is not looked at, so it may be a day off. Empty for what is no date after 1970.
[[nodiscard]] std::optional<std::int64_t> day_of_postmark(std::string_view date);

}  // namespace qpop::mbox
