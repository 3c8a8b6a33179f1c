// SPDX-License-Identifier: MIT
// Addresses of sockets by path.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string_view>

#include "common/base/result.h"

namespace qpop::monitor {

struct UnixAddress {
  sockaddr_un storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// `path` as it is; with @ in front it is a name without a file, as service managers give it. Errors: malformed (too long, or empty).
[[nodiscard]] base::Result<UnixAddress> unix_address(std::string_view path);

}  // namespace qpop::monitor
