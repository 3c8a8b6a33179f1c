// SPDX-License-Identifier: MIT
// Owner, mode and type that the files of the database must have, and the words when they have not.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace qpop::authdb {

/// Name of the system account that owns the database when the server is started by root.
inline constexpr const char* kOwnerName = "pop";

/// The uid that must own the database: that of `pop` for root, our own effective uid for everybody else.
/// Errors  not_found: no such account; io.
[[nodiscard]] base::Result<uid_t> expected_owner();

/// True when the first octets are those of a gdbm file of this byte order: the database of Qpopper 4.
[[nodiscard]] bool is_gdbm(std::string_view head);
/// The same by name; false for what cannot be opened.
[[nodiscard]] bool is_gdbm_file(const std::string& path);

struct FileRule {
  std::string_view what;  ///< for messages: "POP authentication DB"
  uid_t owner = 0;
  mode_t mode = 0600;
};

/// Errors  unsafe: not a regular file, more than one link, other owner or mode, each with the command that mends it.
/// The context is not set; `path` is part of the text.
[[nodiscard]] base::Status check_file_status(const struct stat& status, const std::string& path, const FileRule& rule);

/// The same by name, without following a symbolic link and without opening: closing a descriptor of LMDB's lock file
/// would drop the locks of this process. Errors  also not_found and other failures of lstat.
[[nodiscard]] base::Status check_file(const std::string& path, const FileRule& rule);

}  // namespace qpop::authdb
