// SPDX-License-Identifier: MIT
// Passwords from the terminal without echo, or from standard input as one line.
#pragma once

#include <string_view>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/base/unique_fd.h"

namespace qpop::popauth {

class Terminal {
 public:
  /// The controlling terminal, else standard input when that is a terminal.
  /// Errors  not_found: neither; denied: not in the foreground.
  [[nodiscard]] static base::Result<Terminal> open();

  /// Writes `prompt`, reads a line without echo. The settings of the terminal are put back on every way out; after a
  /// deadly signal the process then dies of it. Errors  limit: longer than 255 octets; malformed: holds an octet no
  /// POP3 command can carry (NUL, CR); busy: end of input; io.
  [[nodiscard]] base::Result<base::Secret> ask(std::string_view prompt);

 private:
  Terminal(base::UniqueFd own, int in, int out) : own_(std::move(own)), in_(in), out_(out) {}
  base::UniqueFd own_;
  int in_;
  int out_;
};

/// One line (LF or end of file ends it). Errors as Terminal::ask().
[[nodiscard]] base::Result<base::Secret> read_secret_line(int fd);

}  // namespace qpop::popauth
