// SPDX-License-Identifier: MIT
// Address to name, and back.
// Runs as: session-user.
#include "popper/resolver/resolver.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "common/base/text.h"
#include "common/ipc/log_sink.h"
#include "common/ipc/messages.h"
#include "common/priv/confine.h"
#include "common/priv/sandbox.h"

namespace qpop::resolver {

namespace {

constexpr unsigned kMostSeconds = 20;

using Addresses = std::unique_ptr<addrinfo, decltype([](addrinfo* list) { ::freeaddrinfo(list); })>;

Addresses look_up(const char* name, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  return Addresses{::getaddrinfo(name, nullptr, &hints, &found) == 0 ? found : nullptr};
}

std::string numeric(const addrinfo& address) {
  std::array<char, NI_MAXHOST> text{};
  return ::getnameinfo(address.ai_addr, address.ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0 ? text.data() : "";
}

void answer(const Start& start) {
  const auto address = look_up(start.address.c_str(), AI_NUMERICHOST);
  if (address == nullptr) return;
  std::array<char, NI_MAXHOST> name{};
  const int failed = ::getnameinfo(address->ai_addr, address->ai_addrlen, name.data(), name.size(), nullptr, 0, NI_NAMEREQD);
  if (failed != 0) {
    log::write(log::Severity::debug, fmt::format("Unable to get canonical name of client {}: {} ({})", start.address, ::gai_strerror(failed), failed));
    return;
  }
  const std::string host{name.data()};
  if (!base::is_host_name(host)) return;
  const auto back = look_up(host.c_str(), 0);
  if (back == nullptr) return log::info("Client at \"{}\" resolves to an unknown host name \"{}\"", start.address, host);
  for (const addrinfo* one = back.get(); one != nullptr; one = one->ai_next) {
    if (numeric(*one) != numeric(*address)) continue;
    ipc::ClientName found;
    found.name.set(host);
    (void)start.monitor.send(found);
    return;
  }
  log::info("Client address \"{}\" not listed for its host name \"{}\"", start.address, host);
}

}  // namespace

int run_resolver(Start start) {
  ipc::log_to(start.monitor);
  const std::array<int, 1> keep{start.monitor.fd()};
  auto ready = priv::confine({.keep = keep, .uid = start.uid, .gid = start.gid});
  if (!ready) {
    log::error("resolver: {}", ready.error().message());
    return 3;
  }
  ::alarm(kMostSeconds);
  answer(start);
  return 0;
}

}  // namespace qpop::resolver
