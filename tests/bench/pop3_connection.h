// SPDX-License-Identifier: MIT
// A POP3 connection for load: plain or TLS, lines and bodies out of one large buffer, many commands on their way at once. Ends the program when the
// server does not do what it should.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/unique_fd.h"

namespace qpop::bench {

[[noreturn]] void die(std::string_view what);

struct FreeSsl {
  void operator()(SSL* ssl) const { ::SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
  void operator()(SSL_SESSION* session) const { ::SSL_SESSION_free(session); }
};
using SslSession = std::unique_ptr<SSL_SESSION, FreeSsl>;

struct Link {
  std::uint16_t port = 0;
  bool tls = false;
  bool ack_now = false;  ///< TCP_QUICKACK before every read; without it the kernel delays as for any ordinary client
};

class Connection {
 public:
  /// Connected, the handshake done; `session` is resumed when it holds one, and replaced by this connection's at close_politely().
  explicit Connection(const Link& link, SslSession* session = nullptr);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Next line, which must begin with +OK (`any`: whatever it is).
  std::string line(bool any = false);
  /// Octets of a multi-line response behind its first line, the termination octet included.
  std::size_t body();
  /// Octets until the other side closes.
  std::size_t drain();
  void send(std::string_view text);
  std::string command(const std::string& text);
  [[nodiscard]] bool resumed() const { return ssl_ && ::SSL_session_reused(ssl_.get()) == 1; }
  /// QUIT, its answer, and the end of the connection.
  void quit();
  void close_politely();
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  [[nodiscard]] std::string_view rest() const { return {buffer_.get() + begin_, end_ - begin_}; }
  std::size_t finish(std::size_t octets, std::size_t used);
  bool try_fill();
  void fill();

  qpop::base::UniqueFd fd_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  SslSession* session_;
  bool ack_now_;
  std::unique_ptr<char[]> buffer_;  // not cleared: that would be most of what a connection costs here
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace qpop::bench
