// SPDX-License-Identifier: MIT
// A running server as a client meets it: the handshake, and what the server should refuse.
#pragma once

#include <string>
#include <vector>

#include "common/tls/judge.h"

namespace qpop::popcert {

struct ServerAddress {
  std::string host;
  std::string port;
  bool stls = false;  ///< begin in clear
};

/// "HOST", "HOST:PORT", "[ADDRESS]:PORT". Errors  malformed.
[[nodiscard]] base::Result<ServerAddress> parse_address(const std::string& text, bool stls);

struct ServerView {
  std::vector<tls::Certificate> sent;
  std::string protocol;  ///< "TLSv1.3"
  std::string cipher;
  tls::Findings findings;  ///< of protocol, ciphers, ALPN and STLS; not of the certificates
};

/// Some ten connections, each with a time limit. Errors  io: no connection, or no handshake at all; the text says at which step.
[[nodiscard]] base::Result<ServerView> look_at_server(const ServerAddress& address);

}  // namespace qpop::popcert
