// SPDX-License-Identifier: MIT
// What a client showed in its handshake to prove who it is, so that another process can judge it: the messages of the handshake, up to the client's
// signature over them.
//
// Why: the process that talks to the client may have been captured by it; if it could just say "this is ada", it could say so of anybody. With TLS 1.3
// both sides sign a hash of the handshake; whoever has the messages can check both signatures without having been there: that the client spoke to this
// very server, and that it holds the key of its certificate. What a captured process could still do is to show again what its own client once showed it.
// Source: RFC 8446 sections 4 (messages), 4.4.1 (transcript hash), 4.4.2 (Certificate), 4.4.3 (CertificateVerify).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/tls/profile.h"

namespace qpop::tls {

/// Collects a handshake, message by message, as both sides sent them.
class HandshakeRecorder {
 public:
  static constexpr std::size_t kMostOctets = 64UL * 1024;  ///< more is given up

  /// A whole handshake message with its header of four octets.
  void add(std::string_view message);
  /// All messages up to the client's CertificateVerify; empty when it sent none.
  [[nodiscard]] std::string_view proof() const { return verifies_ == 2 && messages_.size() <= kMostOctets ? std::string_view{messages_} : std::string_view{}; }

 private:
  std::string messages_;
  unsigned verifies_ = 0;  ///< the first is the server's
};

/// The common name in the client's certificate. `profile`: the server's certificates, one of which must have been shown, and the authorities of clients.
/// Errors  malformed: no such handshake; denied: a signature is not right, the server was another one, or the client's certificate is not one of
///         `profile.client_authorities` for clients, or not valid at `now`.
[[nodiscard]] base::Result<std::string> verify_client(std::string_view proof, const Profile& profile, std::int64_t now);

}  // namespace qpop::tls
