// SPDX-License-Identifier: MIT
// Who may log in at all: files of names, and shells.
//
// The files are the administrator's: a file that somebody else could have written is not read.
// Runs as: root, or the user who started the server.
#pragma once

#include <cstdint>
#include <ctime>
#include <set>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace qpop::monitor {

/// One user name a line, compared as it is, no comments; read again when it has changed. A last line without line end counts.
class NameFile {
 public:
  /// Errors  whatever keeps the file from being read: io, unsafe (not a regular file, of another owner than us or root, writable by
  ///         others), limit (longer than 16 MiB). The caller refuses everybody then.
  [[nodiscard]] base::Result<bool> contains(const std::string& path, std::string_view name);

 private:
  [[nodiscard]] base::Status refresh(const std::string& path);

  struct Seen {
    std::string path;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t changed_ns = 0;
    bool operator==(const Seen&) const = default;
  };
  Seen seen_;
  std::set<std::string, std::less<>> names_;
};

/// Whether `shell` stands in /etc/shells; the line /POPPER/ANY/SHELL/ in it admits every shell. "" stands for /bin/sh (passwd(5)).
[[nodiscard]] bool is_login_shell(std::string_view shell);

}  // namespace qpop::monitor
