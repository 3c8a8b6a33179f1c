// SPDX-License-Identifier: MIT
// --report: one page that needs nothing but itself.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"

namespace qpop::popcheck {

/// `spools`: JSON objects of json_of() with cells. They are put into the page as data, never as markup.
[[nodiscard]] std::string make_page(const std::vector<std::string>& spools, const std::string& made);
[[nodiscard]] base::Status write_page(const std::string& path, const std::string& page);

}  // namespace qpop::popcheck
