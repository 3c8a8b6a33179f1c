// SPDX-License-Identifier: MIT
// Records of a gdbm file, read by libgdbm in a child process: the library may abort, crash or run in circles on a
// damaged file, and must not take the program with it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace qpop::gdbm {

/// True for Berkeley DB files, which are not read: for the message.
[[nodiscard]] bool is_berkeley_db(std::string_view head);

/// FILE, or FILE.pag: what ndbm programs were given is the name without its ending. Errors: those of `open`, for FILE.pag when that exists.
[[nodiscard]] base::Result<base::UniqueFd> open_database(const std::string& file, const std::function<base::Result<base::UniqueFd>(const std::string&)>& open);

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Called in the child before it touches the file; `out` is the descriptor of the answer, the only one it needs besides the file's.
using GiveUpRights = std::function<base::Status(int out)>;

/// All records of the file that `fd` reads, in the order the library has them; at most 60 s of CPU time.
/// Errors  malformed: libgdbm refuses the file, or died of it; limit: records of an impossible size or number; denied: give_up failed.
[[nodiscard]] base::Result<Pairs> read_records(int fd, const GiveUpRights& give_up = {});

}  // namespace qpop::gdbm
