// SPDX-License-Identifier: MIT
// Addresses: what to listen on, and who connected.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace qpop::monitor {

/// A connected client. `block` names its address block for limits: one IPv4 address, one IPv6 /48, "local" for anything else.
struct ClientAddress {
  std::string text = "local";
  std::string block = "local";
  bool loopback = true;
};
[[nodiscard]] ClientAddress describe_client(const sockaddr_storage& address);

/// "[tls:][address][:port]", "port", "[v6]:port". Port 110 when none is given, 995 behind "tls:"; no address means all, IPv6 and IPv4.
struct ListenAddress {
  std::string host;  ///< empty: all
  std::uint16_t port = 110;
  bool tls = false;  ///< TLS from the first octet
};

/// A socket that listens, with the listen value it came from ("" when passed by a service manager).
struct OpenListener {
  std::string text;
  base::UniqueFd fd;
  bool tls = false;
};
[[nodiscard]] base::Result<ListenAddress> parse_listen(std::string_view text);

/// Errors: malformed: the host is not a numeric address.
[[nodiscard]] base::Status check_numeric(const ListenAddress& address);

/// Errors: io: what bind() says of the first of its addresses that cannot be bound; in use counts as bound.
[[nodiscard]] base::Status check_bindable(const ListenAddress& address);

/// Listening sockets for one listen value (two when it means all addresses). Errors: io ("address already in use" and the like).
[[nodiscard]] base::Result<std::vector<base::UniqueFd>> open_listeners(const ListenAddress& address);

/// Address a listening socket is bound to, for the log.
[[nodiscard]] std::string describe_listener(int fd);

}  // namespace qpop::monitor
