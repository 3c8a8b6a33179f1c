// SPDX-License-Identifier: MIT
// What CAPA tells a client of the options.
#pragma once

#include <cstdint>

#include "common/config/settings.h"

namespace qpop::config {

/// EXPIRE in days, -1 for never. Users who log in every day must not lose mail sooner than they are told: of announce-expire and
/// expire-after the lower one, so far as they are set.
[[nodiscard]] std::int32_t announced_expiry(const Settings& settings);

}  // namespace qpop::config
