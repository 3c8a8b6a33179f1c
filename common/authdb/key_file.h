// SPDX-License-Identifier: MIT
// The private key that opens APOP secrets, in a file of its own beside the database.
//
// Set-uid popauth runs as `pop` and must not read it: owner root, mode 0400 (owner: the caller, when not root). The
// monitor opens it and hands the descriptor to the authenticator. Content: one line, "qpopper-seal-key 1 BASE64\n";
// BASE64 of the 32 raw octets of X25519.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/base/unique_fd.h"

namespace qpop::authdb {

/// `<auth-db>.key`
[[nodiscard]] std::string key_path_of(const std::string& database_path);

/// Opens it for reading after checking type, owner (effective uid) and mode; close-on-exec.
/// Errors  not_found; unsafe; denied; io.
[[nodiscard]] base::Result<base::UniqueFd> open_key_file(const std::string& path);

/// Reads from offset 0 whatever the position, so that a descriptor can be read again. Checks by itself that the file is a regular
/// one which only its owner can touch: the monitor that opened it knows nothing of the database.
/// Errors  unsafe; malformed; io.
[[nodiscard]] base::Result<base::Secret> read_key(int fd);

/// Writes a new file with mode 0400 and syncs it.
/// Errors  io with EEXIST when the file exists; no_space; io.
[[nodiscard]] base::Status create_key_file(const std::string& path, const base::Secret& private_key);

}  // namespace qpop::authdb
