// SPDX-License-Identifier: MIT
// The server's end of TLS on a socket that does not block: TLS 1.2 and 1.3, ECDHE, the ALPN name "pop3", certificates chosen by the name the
// client asks for and by what it can verify.
//
// Private keys and sessions that may be resumed lie elsewhere: the hooks reach them. There is no ticket key: a ticket is a number under which
// the other side finds the session, so that no process that talks to a client can open another client's.
// Source: RFC 8446, RFC 5246, RFC 7301 (ALPN), RFC 6066 section 3 (SNI), RFC 9266 and RFC 5929 (channel binding).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/tls/profile.h"
#include "common/tls/remote_key.h"

namespace qpop::tls {

struct Hooks {
  Sign sign;
  /// Keeps a session under an identifier of up to 32 octets; both are opaque.
  std::function<void(std::string_view id, std::string_view session)> store;
  /// "" when there is none. `once`: it must not be found again.
  std::function<std::string(std::string_view id, bool once)> find;
};

/// What a session of POP3 may want to know of its TLS.
struct ConnectionFacts {
  std::string version;  ///< "TLSv1.3"
  std::string cipher;
  int cipher_bits = 0;
  bool resumed = false;
  std::string exporter;          ///< tls-exporter; empty where it would not be safe (TLS 1.2 without extended master secret)
  std::string server_end_point;  ///< tls-server-end-point
};

class Connection {
 public:
  enum class Outcome : std::uint8_t {
    done,
    want_read,   ///< call again once the socket can be read
    want_write,  ///< call again once it can be written
    closed,      ///< by the peer, or the socket failed
    failed,      ///< a fault of TLS; see failure()
  };

  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;

  Outcome handshake();
  /// `got` octets, at least one when done.
  Outcome read(std::span<char> out, std::size_t& got);
  /// `put` octets were taken, whatever the outcome; those that were not may be offered again from another place. They have left once the
  /// outcome is done and nothing is waiting(); no octets to write sends what waits.
  Outcome write(std::string_view octets, std::size_t& put);
  /// Records that the socket did not take yet.
  [[nodiscard]] bool waiting() const;
  /// Octets that the library has read from the socket and read() did not hand out.
  [[nodiscard]] bool has_input() const;
  /// Says that nothing more comes; does not wait.
  void close_notify();

  /// Cause of the last Outcome::failed, for the log; printable.
  [[nodiscard]] const std::string& failure() const;
  /// After the handshake.
  [[nodiscard]] ConnectionFacts facts() const;
  /// For verify_client() (client_proof.h); empty when the client showed no certificate that an authority of ours signed, or not with TLS 1.3.
  [[nodiscard]] std::string_view client_proof() const;

 private:
  friend class Server;
  struct State;
  explicit Connection(std::unique_ptr<State> state);
  Outcome outcome_of(int result);
  Outcome send_records(Outcome outcome);
  std::unique_ptr<State> state_;
};

/// Errors  malformed: the library knows none of them. "" is fine.
[[nodiscard]] base::Status check_ciphers(const std::string& ciphers);

class Server {
 public:
  /// The part that costs time and needs no certificate. Once a process: the library keeps `hooks.sign`.
  /// Errors  io: of the library.
  [[nodiscard]] static base::Result<Server> prepare(Hooks hooks);
  ~Server();
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Errors  malformed: ciphers that the library does not know; unsupported: a kind of key; io.
  [[nodiscard]] base::Status configure(Profile profile);
  /// After configure(). `fd` stays the caller's and must outlive the connection, as must this.
  [[nodiscard]] base::Result<std::unique_ptr<Connection>> connect(int fd);

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace qpop::tls
