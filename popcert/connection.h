// SPDX-License-Identifier: MIT
// One connection of popcert to a POP3 server: TCP, lines in clear, the handshake.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/base/unique_fd.h"
#include "common/tls/handles.h"
#include "popcert/server_view.h"

namespace qpop::popcert {

inline constexpr int kNetworkTimeoutS = 10;

/// How a probe differs from an ordinary client; 0 and empty: as the library would.
struct Offer {
  int least_version = 0;
  int most_version = 0;
  std::string ciphers;  ///< of TLS 1.2 and before, at security level 0
  std::string alpn;     ///< one protocol name
};

class Connection {
 public:
  /// Errors  io: the name is unknown, or nobody answers.
  [[nodiscard]] static base::Result<Connection> open(const ServerAddress& address);

  /// Reads one line without its CR LF. Errors  io; malformed: longer than 4096 octets.
  [[nodiscard]] base::Result<std::string> line();
  [[nodiscard]] base::Status send(std::string_view octets);
  /// Greeting, STLS and its answer. Errors  denied: refused; its text is the server's. io.
  [[nodiscard]] base::Status begin_stls(std::string_view behind = {});
  /// Errors  io: the text is the library's.
  [[nodiscard]] base::Status handshake(const Offer& offer, const std::string& host);
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
  /// Does anything come within the time, without being asked for?
  [[nodiscard]] bool says_something(int wait_ms);

 private:
  explicit Connection(base::UniqueFd fd) : fd_(std::move(fd)) {}

  base::UniqueFd fd_;
  std::unique_ptr<SSL_CTX, tls::Deleter<SSL_CTX_free>> context_;
  std::unique_ptr<SSL, tls::Deleter<SSL_free>> ssl_;
};

}  // namespace qpop::popcert
