// SPDX-License-Identifier: MIT
// STLS, TLS from the first octet, and what changes inside it.
// Runs as: popnet, without any right.
// Source: RFC 2595 section 4, RFC 8314 (implicit TLS, port 995).
#include <malloc.h>

#include "common/base/text.h"
#include "popper/session/dialogue.h"

namespace qpop::session {

namespace {
constexpr int kAnswerMs = 30'000;
}  // namespace

bool Dialogue::clear_text_allowed() const { return start_.clear_text_allowed != 0 || (inside_tls_ && start_.clear_text_inside_tls != 0); }

void Dialogue::on_stls(const pop3::Command& command) {
  if (command.word_count != 0) return err("Too many arguments for the STLS command.");
  if (inside_tls_) return err("TLS is active already.");
  if (start_.tls == ipc::TlsUse::not_now) return err("[SYS/TEMP] TLS is not available now, try again later");
  if (start_.tls != ipc::TlsUse::stls) return err("STLS is not offered by this server.");
  // Whoever sits between client and server could have put it there to be read as if it had come inside TLS (CVE-2011-0411).
  if (client_.has_input()) {
    log::warning("{}: octets behind STLS that came in clear; connection closed", who());
    return finish(End::refused);
  }
  if (auto ready = tls_.configure(); !ready) {
    log::error("{}: {}", who(), ready.error().at("certificates").message());
    return err("[SYS/TEMP] TLS is not available now, try again later");
  }
  ok("Begin TLS negotiation");
  if (!client_.flush()) return finish(End::closed);
  // Nothing that was said in clear counts any more.
  user_.clear();
  has_user_ = false;
  if (begin_tls() && !enter_tls()) finish(End::failure);
}

/// Whatever goes wrong ends the connection: there is no way back to clear text.
bool Dialogue::begin_tls() {
  auto ready = tls_.configure();
  auto connection = ready ? tls_.connect(client_.socket()) : base::Result<std::unique_ptr<tls::Connection>>{ready.error()};
  if (!connection) {
    log::error("{}: {}", who(), connection.error().message());
    finish(End::failure);
    return false;
  }
  if (const auto event = client_.secure(std::move(*connection), deadline()); event != Client::Event::line) {
    handshake_failed(event);
    return false;
  }
  inside_tls_ = true;
  tls_.close();
  last_command_ms_ = clock_.monotonic_ms();
  const auto facts = client_.tls()->facts();
  channel_facts_.tls_exporter = facts.exporter;
  channel_facts_.tls_server_end_point = facts.server_end_point;
  ipc::TlsStarted started;
  started.version.set(facts.version);
  started.cipher.set(facts.cipher);
  started.bits = static_cast<std::uint32_t>(facts.cipher_bits);
  started.resumed = facts.resumed ? 1 : 0;
  (void)monitor_.send(started);
  (void)::malloc_trim(0);  // what the handshake needed, the session does not need again
  return true;
}

void Dialogue::handshake_failed(Client::Event event) {
  if (event == Client::Event::timeout) {
    log::info("Timeout ({} secs) during SSL/TLS handshake with client at {} ({})", (clock_.monotonic_ms() - last_command_ms_) / 1000, start_.client.view(), start_.client.view());
    return finish(End::timeout);
  }
  if (event == Client::Event::monitor) return finish(End::shutdown);
  const auto& cause = client_.tls()->failure();
  log::info("TLS/SSL handshake with client at {} ({}) failed: {}", start_.client.view(), start_.client.view(), cause.empty() ? "the client closed the connection" : cause);
  finish(End::closed);
}

/// The authenticator learns that passwords cannot be overheard any more, and says anew what can be used.
bool Dialogue::enter_tls() {
  ipc::InsideTls inside;
  inside.can_bind = channel_facts_.can_bind() ? 1 : 0;
  const auto proof = client_.tls()->client_proof();
  inside.has_certificate = !proof.empty() && proof.size() <= ipc::VerifyExternal::kMostOctets ? 1 : 0;
  auto frame = authenticator_.send(inside) ? authenticator_.receive(kAnswerMs) : base::Result<ipc::Frame>{base::Error{base::ErrorKind::io, "cannot be reached"}};
  ipc::SessionGreeting greeting;
  if (!frame || !frame->read(greeting)) {
    authentication_broken(frame ? nullptr : &frame.error());
    return false;
  }
  usable_ = greeting.mechanisms;
  return true;
}

}  // namespace qpop::session
