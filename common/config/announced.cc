// SPDX-License-Identifier: MIT
// What CAPA tells.
#include "common/config/announced.h"

#include <algorithm>

namespace qpop::config {

std::int32_t announced_expiry(const Settings& settings) {
  const auto announced = settings.number(Opt::announce_expire);
  const auto deleted = settings.number(Opt::expire_after);
  return static_cast<std::int32_t>(announced < 0 || deleted < 0 ? std::max(announced, deleted) : std::min(announced, deleted));
}

}  // namespace qpop::config
