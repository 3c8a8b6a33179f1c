// SPDX-License-Identifier: MIT
// Addresses of sockets by path.
#include "popper/monitor/unix_address.h"

#include <cstddef>
#include <cstring>

namespace qpop::monitor {

base::Result<UnixAddress> unix_address(std::string_view path) {
  UnixAddress out;
  out.storage.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof out.storage.sun_path) return base::Error{base::ErrorKind::malformed, "the path is too long for a socket"};
  std::memcpy(out.storage.sun_path, path.data(), path.size());
  if (path.front() == '@') out.storage.sun_path[0] = '\0';
  out.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  return out;
}

}  // namespace qpop::monitor
