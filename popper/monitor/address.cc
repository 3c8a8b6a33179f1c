// SPDX-License-Identifier: MIT
// Addresses and listening sockets.
// Runs as: root, or the user who started the server.
#include "popper/monitor/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "common/base/text.h"

namespace qpop::monitor {

namespace {

using base::Error;
using base::ErrorKind;

constexpr int kBacklog = 512;

struct InfoFree {
  void operator()(addrinfo* info) const { ::freeaddrinfo(info); }
};

std::string to_text(int family, const void* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(family, address, text.data(), text.size());
  return text.data();
}

base::Result<base::UniqueFd> bind_to(const addrinfo& info) {
  base::UniqueFd fd{::socket(info.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd.valid()) return Error::from_errno(errno, "socket");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (info.ai_family == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(fd.get(), info.ai_addr, info.ai_addrlen) != 0) return Error::from_errno(errno, "bind");
  return fd;
}

base::Result<base::UniqueFd> listen_on(const addrinfo& info) {
  auto fd = bind_to(info);
  if (fd && ::listen(fd->get(), kBacklog) != 0) return Error::from_errno(errno, "listen");
  return fd;
}

/// A host without IPv6 (or without IPv4) serves the other.
bool is_optional(const ListenAddress& address, const Error& error) {
  return address.host.empty() && (error.errno_value() == EAFNOSUPPORT || error.errno_value() == EADDRNOTAVAIL);
}

using Info = std::unique_ptr<addrinfo, InfoFree>;

base::Result<Info> look_up(const ListenAddress& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  const int failed = ::getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(), std::to_string(address.port).c_str(), &hints, &raw);
  Info found{raw};
  if (failed != 0) return Error{ErrorKind::malformed, fmt::format("not a numeric address: {}", ::gai_strerror(failed))};
  return found;
}

}  // namespace

ClientAddress describe_client(const sockaddr_storage& address) {
  ClientAddress client;
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    client.text = client.block = to_text(AF_INET, &v4.sin_addr);
    client.loopback = (ntohl(v4.sin_addr.s_addr) >> 24U) == 127;
  } else if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      const auto* bytes = v6.sin6_addr.s6_addr + 12;
      client.text = client.block = to_text(AF_INET, bytes);
      client.loopback = bytes[0] == 127;
      return client;
    }
    client.text = to_text(AF_INET6, &v6.sin6_addr);
    client.loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    std::memset(v6.sin6_addr.s6_addr + 6, 0, 10);  // one site gets a /48 (RFC 6177)
    client.block = client.loopback ? client.text : to_text(AF_INET6, &v6.sin6_addr) + "/48";
  }
  return client;
}

base::Result<ListenAddress> parse_listen(std::string_view text) {
  ListenAddress out;
  constexpr std::string_view kTls = "tls:";
  if (base::starts_with_ignoring_case(text, kTls)) {
    out.tls = true;
    out.port = 995;  // RFC 8314 section 7.3
    text.remove_prefix(kTls.size());
  }
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return Error{ErrorKind::malformed, "] missing"};
    out.host = text.substr(1, close - 1);
    port = text.substr(close + 1);
    if (!port.empty() && port.front() != ':') return Error{ErrorKind::malformed, "want [address]:port"};
  } else if (text.find('.') == std::string_view::npos && text.find(':') == std::string_view::npos) {
    port = text;
  } else {
    const auto colon = text.find(':');
    out.host = text.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view{} : text.substr(colon);
    if (port.find(':', 1) != std::string_view::npos) return Error{ErrorKind::malformed, "an IPv6 address stands in brackets, as in [::1]:110"};
  }
  if (port.starts_with(':')) port.remove_prefix(1);
  if (port.empty()) return out;
  const auto number = base::parse_decimal(port);
  if (!number || *number == 0 || *number > 65535) return Error{ErrorKind::malformed, "the port must be a number from 1 to 65535"};
  out.port = static_cast<std::uint16_t>(*number);
  return out;
}

base::Status check_numeric(const ListenAddress& address) {
  auto found = look_up(address);
  return found ? base::Status{} : base::Status{found.error()};
}

base::Status check_bindable(const ListenAddress& address) {
  auto found = look_up(address);
  if (!found) return found.error();
  for (const addrinfo* at = found->get(); at != nullptr; at = at->ai_next) {
    const auto bound = bind_to(*at);
    if (!bound && bound.error().errno_value() != EADDRINUSE && !is_optional(address, bound.error())) return bound.error();
  }
  return {};
}

base::Result<std::vector<base::UniqueFd>> open_listeners(const ListenAddress& address) {
  auto looked_up = look_up(address);
  if (!looked_up) return looked_up.error();
  const auto found = std::move(*looked_up);
  std::vector<base::UniqueFd> sockets;
  for (const addrinfo* at = found.get(); at != nullptr; at = at->ai_next) {
    auto fd = listen_on(*at);
    if (!fd && is_optional(address, fd.error())) continue;
    if (!fd) return fd.error();
    sockets.push_back(std::move(*fd));
  }
  if (sockets.empty()) return Error{ErrorKind::io, "no address family is available"};
  return sockets;
}

std::string describe_listener(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "unknown address";
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return fmt::format("{}:{}", to_text(AF_INET, &v4.sin_addr), ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    return fmt::format("[{}]:{}", to_text(AF_INET6, &v6.sin6_addr), ntohs(v6.sin6_port));
  }
  return "a local socket";
}

}  // namespace qpop::monitor
