// SPDX-License-Identifier: MIT
// Sockets from, and state messages to, a service manager.
// Runs as: root, or the user who started the server.
#include "popper/monitor/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "common/base/text.h"
#include "common/base/unique_fd.h"
#include "popper/monitor/unix_address.h"

namespace qpop::monitor {

std::vector<PassedSocket> take_passed_sockets() {
  constexpr int kFirst = 3;
  constexpr std::uint64_t kMost = 64;
  std::vector<PassedSocket> fds;
  const char* pid = std::getenv("LISTEN_PID");
  const char* count = std::getenv("LISTEN_FDS");
  const char* given = std::getenv("LISTEN_FDNAMES");
  std::string_view names = given == nullptr ? "" : given;
  if (pid != nullptr && count != nullptr && base::parse_decimal(pid) == static_cast<std::uint64_t>(::getpid())) {
    const auto number = base::parse_decimal(count);
    for (int i = 0; number && *number <= kMost && i < static_cast<int>(*number); ++i) {
      ::fcntl(kFirst + i, F_SETFD, FD_CLOEXEC);
      ::fcntl(kFirst + i, F_SETFL, ::fcntl(kFirst + i, F_GETFL) | O_NONBLOCK);  // accept() in a loop must come back
      const auto name = names.substr(0, names.find(':'));
      names.remove_prefix(std::min(names.size(), name.size() + 1));
      fds.push_back({kFirst + i, std::string{name}});
    }
  }
  ::unsetenv("LISTEN_PID");
  ::unsetenv("LISTEN_FDS");
  ::unsetenv("LISTEN_FDNAMES");
  return fds;
}

void notify_service_manager(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  const auto address = unix_address(path);
  if (!address) return;
  const base::UniqueFd fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL, address->get(), address->size);
}

}  // namespace qpop::monitor
