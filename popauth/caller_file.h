// SPDX-License-Identifier: MIT
// Files that the caller names: opened with the caller's rights, never through a symbolic link, never over an existing
// file.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace qpop::popauth {

/// For reading; "-" is standard input.
/// Errors  unsafe: not a regular file (standard input may be a pipe); not_found, denied.
[[nodiscard]] base::Result<base::UniqueFd> open_input(const std::string& path);

/// A new file, mode 0600; "-" is standard output. Errors  io with EEXIST: it exists; denied, no_space.
[[nodiscard]] base::Result<base::UniqueFd> create_output(const std::string& path);

/// Writes, syncs a regular file, and closes. Errors  no_space, io.
[[nodiscard]] base::Status write_and_close(base::UniqueFd fd, std::string_view text);

}  // namespace qpop::popauth
