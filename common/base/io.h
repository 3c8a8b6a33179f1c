// SPDX-License-Identifier: MIT
// Whole transfers over a plain descriptor: EINTR is retried, short reads and writes are completed. Maildrop code has the same over its seam
// in common/files.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace qpop::base {

/// From where the descriptor stands to its end. May hold secrets: no other copy is left, but the caller has to wipe what it gets.
/// Errors  limit: more than `most` octets; io.
[[nodiscard]] Result<std::string> read_whole(int fd, std::size_t most);

/// Errors  no_space; io.
[[nodiscard]] Status write_whole(int fd, std::string_view octets);

/// A file that has no name and lies in memory, close-on-exec; it can be sealed. Errors  io.
[[nodiscard]] Result<UniqueFd> make_memory_file(const char* label);

}  // namespace qpop::base
