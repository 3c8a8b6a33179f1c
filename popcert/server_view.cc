// SPDX-License-Identifier: MIT
// An ordinary handshake first; then one connection for each thing that a server of today must not accept.
#include "popcert/server_view.h"

#include <fmt/format.h>

#include "common/base/text.h"
#include "popcert/connection.h"

namespace qpop::popcert {

namespace {

using base::Error;
using base::ErrorKind;
using tls::Level;

constexpr int kUnaskedMs = 1500;
/// What no client of the last ten years needs: no forward secrecy, no authentication, no encryption, or broken ciphers.
constexpr const char* kOldCiphers = "aNULL:eNULL:3DES:RC4:DES:IDEA:SEED:kRSA";

base::Result<Connection> shake_hands(const ServerAddress& address, const Offer& offer, std::string_view behind_stls = {}) {
  auto connection = Connection::open(address);
  if (!connection) return connection.error();
  if (address.stls) {
    if (auto begun = connection->begin_stls(behind_stls); !begun) return begun.error();
  }
  if (auto done = connection->handshake(offer, address.host); !done) return done.error();
  return connection;
}

bool accepts(const ServerAddress& address, const Offer& offer) { return shake_hands(address, offer).has_value(); }

void judge_versions(const ServerAddress& address, tls::Findings& out) {
  for (const auto& [version, name] : {std::pair{TLS1_VERSION, "TLS 1.0"}, std::pair{TLS1_1_VERSION, "TLS 1.1"}}) {
    if (!accepts(address, {.least_version = version, .most_version = version, .ciphers = "ALL:@SECLEVEL=0", .alpn = {}})) continue;
    out.push_back({"old-protocol", Level::critical, fmt::format("the server accepts {}", name), "set tls-version = default in qpopper.config"});
  }
  if (!accepts(address, {.least_version = TLS1_3_VERSION, .most_version = TLS1_3_VERSION, .ciphers = {}, .alpn = {}})) {
    out.push_back({"no-tls13", Level::note, "the server does not speak TLS 1.3", "set tls-version = default in qpopper.config"});
  }
  if (accepts(address, {.least_version = TLS1_2_VERSION, .most_version = TLS1_2_VERSION, .ciphers = kOldCiphers, .alpn = {}})) {
    out.push_back({"old-ciphers", Level::critical, "the server accepts ciphers without forward secrecy, or broken ones", "remove tls-cipher-list from qpopper.config"});
  } else {
    out.push_back({"ciphers", Level::ok, "ciphers without forward secrecy are refused", ""});
  }
}

void judge_alpn(const ServerAddress& address, tls::Findings& out) {
  if (accepts(address, {.least_version = 0, .most_version = 0, .ciphers = {}, .alpn = "http/1.1"})) {
    out.push_back({"alpn-not-strict", Level::note, "a client that asks for another protocol (ALPN http/1.1) is served",
                   "harmless alone; a strict server cannot be used to answer for a web server of the same name"});
  } else {
    out.push_back({"alpn", Level::ok, "a client that asks for another protocol is refused", ""});
  }
}

/// A command sent in clear behind STLS in one piece must not be obeyed inside TLS (CVE-2011-0411 and its kin).
void judge_injection(const ServerAddress& address, tls::Findings& out) {
  auto connection = shake_hands(address, {}, "CAPA\r\n");
  if (connection && connection->says_something(kUnaskedMs)) {
    out.push_back({"stls-injection", Level::critical, "the server obeys commands that were sent in clear behind STLS", "this server is open to injection; update it"});
  } else {
    out.push_back({"stls-injection", Level::ok, "commands sent in clear behind STLS are not obeyed", ""});
  }
}

/// Is a password taken before STLS?
void judge_clear_text(const ServerAddress& address, tls::Findings& out) {
  auto connection = Connection::open(address);
  if (!connection || !connection->line() || !connection->send("CAPA\r\n")) return;
  bool clear = false;
  for (int i = 0; i < 100; ++i) {
    const auto line = connection->line();
    if (!line || *line == "." || line->starts_with("-ERR")) break;
    clear = clear || base::equal_ignoring_case(*line, "USER") || (base::starts_with_ignoring_case(*line, "SASL") && line->find("PLAIN") != std::string::npos);
  }
  if (clear) {
    out.push_back({"clear-text", Level::warning, "passwords are accepted in clear before STLS, at least from here",
                   "set clear-text-password = tls; from loopback clear text is allowed by default"});
  } else {
    out.push_back({"clear-text", Level::ok, "no password is asked for before STLS", ""});
  }
}

}  // namespace

base::Result<ServerAddress> parse_address(const std::string& text, bool stls) {
  ServerAddress out;
  out.stls = stls;
  out.port = stls ? "110" : "995";
  const auto bracket = text.find(']');
  if (text.starts_with('[') && bracket != std::string::npos) {
    out.host = text.substr(1, bracket - 1);
    if (bracket + 1 < text.size() && text[bracket + 1] == ':') out.port = text.substr(bracket + 2);
  } else if (const auto colon = text.find(':'); colon != std::string::npos && colon == text.rfind(':')) {
    out.host = text.substr(0, colon);
    out.port = text.substr(colon + 1);
  } else {
    out.host = text;
  }
  if (out.host.empty() || !base::parse_decimal(out.port) || *base::parse_decimal(out.port) > 65535)
    return Error{ErrorKind::malformed, "HOST, HOST:PORT or [ADDRESS]:PORT is wanted"}.at("--connect", base::escape_untrusted(text, 100));
  return out;
}

base::Result<ServerView> look_at_server(const ServerAddress& address) {
  auto connection = shake_hands(address, {.least_version = 0, .most_version = 0, .ciphers = {}, .alpn = "pop3"});
  if (!connection) return connection.error();
  ServerView out;
  out.protocol = ::SSL_get_version(connection->ssl());
  out.cipher = ::SSL_get_cipher_name(connection->ssl());
  const STACK_OF(X509)* chain = ::SSL_get_peer_cert_chain(connection->ssl());
  for (int i = 0; chain != nullptr && i < sk_X509_num(chain); ++i) {
    X509* one = sk_X509_value(chain, i);
    ::X509_up_ref(one);
    out.sent.emplace_back(tls::X509Handle{one});
  }
  judge_versions(address, out.findings);
  judge_alpn(address, out.findings);
  if (address.stls) {
    judge_injection(address, out.findings);
    judge_clear_text(address, out.findings);
  }
  return out;
}

}  // namespace qpop::popcert
