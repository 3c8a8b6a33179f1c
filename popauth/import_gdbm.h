// SPDX-License-Identifier: MIT
// Records of a gdbm file, read by libgdbm in a child process: the library may abort, crash or run in circles on a damaged
// file, and must not take the program with it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/base/result.h"

namespace qpop::popauth {

/// True for Berkeley DB files, which are not read: for the message.
[[nodiscard]] bool is_berkeley_db(std::string_view head);

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// All records of the file that `fd` reads, in the order the library has them; at most 60 s of CPU time.
/// Errors  malformed: libgdbm refuses the file, or died of it; limit: records of an impossible size or number.
[[nodiscard]] base::Result<Pairs> read_gdbm(int fd);

}  // namespace qpop::popauth
