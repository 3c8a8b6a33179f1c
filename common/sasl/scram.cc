// SPDX-License-Identifier: MIT
// Syntax of SCRAM messages. Everything is refused that the grammar does not name.
#include "common/sasl/scram.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "common/base/secret.h"
#include "common/sasl/message.h"

namespace qpop::sasl {

namespace {

using base::Error;
using base::ErrorKind;

Error malformed(const char* what) { return {ErrorKind::malformed, what}; }

/// Takes the part before the next comma, and the comma; all of the rest when there is none.
std::string_view take_part(std::string_view& rest) {
  const auto comma = rest.find(',');
  const auto part = rest.substr(0, comma);
  rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  return part;
}

/// "=2C" and "=3D" stand for comma and equals sign; nothing else may follow "=" (RFC 5802 section 5.1).
std::optional<std::string> unescape_name(std::string_view text) {
  std::string name;
  while (!text.empty()) {
    if (text.front() != '=') {
      name += text.front();
      text.remove_prefix(1);
      continue;
    }
    if (!text.starts_with("=2C") && !text.starts_with("=3D")) return std::nullopt;
    name += text[1] == '2' ? ',' : '=';
    text.remove_prefix(3);
  }
  if (!is_name(name)) return std::nullopt;
  return name;
}

bool is_nonce(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F && c != ','; });
}

/// attr-val parts behind the known ones. Unknown ones are ignored, but m= asks us to refuse what we do not know.
base::Status check_extensions(std::string_view rest) {
  while (!rest.empty()) {
    const auto part = take_part(rest);
    if (part.size() < 3 || part[1] != '=') return malformed("an extension is not attribute=value");
    if (part[0] == 'm') return Error{ErrorKind::unsupported, "a mandatory extension"};
  }
  return {};
}

std::optional<Binding> parse_binding(std::string_view flag) {
  if (flag == "n") return Binding::not_supported;
  if (flag == "y") return Binding::not_offered;
  if (!flag.starts_with("p=") || flag.size() == 2) return std::nullopt;
  if (flag == "p=tls-exporter") return Binding::exporter;
  if (flag == "p=tls-server-end-point") return Binding::server_end_point;
  return Binding::other;
}

std::string_view data_of(Binding binding, const ChannelFacts& facts) {
  switch (binding) {
    case Binding::exporter:
      return facts.tls_exporter;
    case Binding::server_end_point:
      return facts.tls_server_end_point;
    case Binding::not_supported:
    case Binding::not_offered:
    case Binding::other:
      return {};
  }
  return {};
}

}  // namespace

base::Result<ClientFirst> parse_client_first(std::string_view message) {
  ClientFirst first;
  std::string_view rest = message;
  const auto binding = parse_binding(take_part(rest));
  if (!binding) return malformed("channel binding flag");
  first.binding = *binding;
  const auto authorization = take_part(rest);
  if (!authorization.empty()) {
    auto name = authorization.starts_with("a=") ? unescape_name(authorization.substr(2)) : std::nullopt;
    if (!name) return malformed("authorization name");
    first.authorization = std::move(*name);
  }
  first.gs2_header = message.substr(0, message.size() - rest.size());
  if (!first.gs2_header.ends_with(',')) return malformed("header without its second comma");
  first.bare = rest;
  if (first.bare.size() > kMaxFirstBare) return malformed("longer than any user name and nonce need");
  const auto user = take_part(rest);
  if (user.starts_with("m=")) return Error{ErrorKind::unsupported, "a mandatory extension"};
  auto name = user.starts_with("n=") ? unescape_name(user.substr(2)) : std::nullopt;
  if (!name) return malformed("user name");
  first.user = std::move(*name);
  const auto nonce = take_part(rest);
  if (!nonce.starts_with("r=") || !is_nonce(nonce.substr(2)) || nonce.size() - 2 > kMaxNonce) return malformed("nonce");
  first.nonce = nonce.substr(2);
  if (auto checked = check_extensions(rest); !checked) return checked.error();
  return first;
}

base::Result<ClientFinal> parse_client_final(std::string_view message) {
  ClientFinal last;
  // The proof stands at the end and covers all that is before it.
  const auto proof_at = message.rfind(",p=");
  if (proof_at == std::string_view::npos) return malformed("no proof");
  last.without_proof = message.substr(0, proof_at);
  if (last.without_proof.size() > kMaxWithoutProof) return malformed("longer than any channel binding needs");
  const auto proof = digest::base64_decode(message.substr(proof_at + 3));
  if (!proof || proof->size() != last.proof.size()) return malformed("proof");
  std::memcpy(last.proof.data(), proof->data(), last.proof.size());
  std::string_view rest = last.without_proof;
  const auto channel = take_part(rest);
  auto input = channel.starts_with("c=") ? digest::base64_decode(channel.substr(2)) : std::nullopt;
  if (!input) return malformed("channel binding");
  last.channel_input = std::move(*input);
  const auto nonce = take_part(rest);
  if (!nonce.starts_with("r=") || !is_nonce(nonce.substr(2))) return malformed("nonce");
  last.nonce = nonce.substr(2);
  if (auto checked = check_extensions(rest); !checked) return checked.error();
  return last;
}

base::Status check_binding_choice(Mechanism mechanism, Binding binding, const ChannelFacts& facts, MechanismSet announced) {
  const bool plus = mechanism == Mechanism::scram_sha_256_plus;
  switch (binding) {
    case Binding::not_supported:
      break;
    case Binding::not_offered:
      if (has(announced, Mechanism::scram_sha_256_plus)) {
        return Error{ErrorKind::denied, "the client was not shown SCRAM-SHA-256-PLUS, which was announced: the list was changed on its way"};
      }
      break;
    case Binding::exporter:
    case Binding::server_end_point:
    case Binding::other:
      if (!plus) return malformed("channel binding without a -PLUS mechanism");
      if (data_of(binding, facts).empty()) return Error{ErrorKind::unsupported, "this type of channel binding"};
      return {};
  }
  if (plus) return malformed("a -PLUS mechanism without channel binding");
  return {};
}

bool is_bound(std::string_view gs2_header, Binding binding, std::string_view channel_input, const ChannelFacts& facts) {
  std::string want{gs2_header};
  want += data_of(binding, facts);
  return base::equal_constant_time(want, channel_input);
}

}  // namespace qpop::sasl
