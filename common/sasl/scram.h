// SPDX-License-Identifier: MIT
// Messages of a SCRAM client: syntax, and what they say about channel binding. No key is needed here; see scram_server.h for those.
//
// Why apart: the process that talks to the client takes the messages to pieces and holds the facts of its TLS; nonce, salt and keys
// are another process's, which sees the pieces and hashes the rest as it is.
// Source: RFC 5802 section 7 (grammar), section 6 (channel binding), RFC 7677, RFC 5929 section 4 (tls-server-end-point), RFC 9266
// (tls-exporter).
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/digest/digest.h"
#include "common/sasl/mechanism.h"

namespace qpop::sasl {

/// Longest pieces taken; they must fit the messages between our processes.
inline constexpr std::size_t kMaxNonce = 128;       // of the client alone; clients send some 20 to 40
inline constexpr std::size_t kMaxFirstBare = 600;
inline constexpr std::size_t kMaxWithoutProof = 900;

/// What a connection can be bound to. Everything is empty outside TLS.
struct ChannelFacts {
  std::string tls_exporter;          ///< 32 octets, label EXPORTER-Channel-Binding
  std::string tls_server_end_point;  ///< digest of the server's certificate
  std::string certificate_name;      ///< user name in the client's verified certificate

  [[nodiscard]] bool can_bind() const { return !tls_exporter.empty() || !tls_server_end_point.empty(); }
};

/// What the client says of channel binding.
enum class Binding : std::uint8_t {
  not_supported,     ///< n: it cannot
  not_offered,       ///< y: it could, and believes that we cannot
  exporter,          ///< p=tls-exporter
  server_end_point,  ///< p=tls-server-end-point
  other,             ///< p= with a type we do not know
};

/// Views into the message, apart from the names, which are unescaped.
struct ClientFirst {
  std::string_view gs2_header;  ///< "n,," and the like, with both commas
  Binding binding = Binding::not_supported;
  std::string authorization;  ///< "": same as `user`
  std::string user;
  std::string_view nonce;
  std::string_view bare;  ///< everything behind the header
};

/// Errors  malformed; unsupported: a mandatory extension.
[[nodiscard]] base::Result<ClientFirst> parse_client_first(std::string_view message);

struct ClientFinal {
  std::string channel_input;  ///< what c= holds: the header of the first message and the octets of the channel
  std::string_view nonce;
  digest::Digest32 proof{};
  std::string_view without_proof;
};

/// Errors  malformed; unsupported: a mandatory extension.
[[nodiscard]] base::Result<ClientFinal> parse_client_final(std::string_view message);

/// Whether the client may go on with what it chose. `announced`: the mechanisms that this client was told of.
/// Errors  denied: the client believes that we cannot bind though we announced it, so somebody changed the list on its way (RFC 5802
///         section 6); malformed: mechanism and choice do not go together; unsupported: a type that we do not have here.
[[nodiscard]] base::Status check_binding_choice(Mechanism mechanism, Binding binding, const ChannelFacts& facts, MechanismSet announced);

/// Whether c= of the last message is the header of the first and the octets of this very channel. Constant time.
[[nodiscard]] bool is_bound(std::string_view gs2_header, Binding binding, std::string_view channel_input, const ChannelFacts& facts);

}  // namespace qpop::sasl
