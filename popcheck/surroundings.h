// SPDX-License-Identifier: MIT
// What is wrong around a spool: owner, mode, links, lock files, left-overs of both servers.
#pragma once

#include <vector>

#include "common/check/findings.h"
#include "common/files/file_system.h"
#include "popcheck/target.h"

namespace qpop::popcheck {

/// `folder` and `state` are open folders; `state` is -1 when there is none. Findings have no place in the text.
[[nodiscard]] std::vector<check::Finding> look_around(files::FileSystem& fs, const Target& target, int folder, int state, std::int64_t now_ns);

}  // namespace qpop::popcheck
