// SPDX-License-Identifier: MIT
// One connection: octets in and out, and what is known of it.
#include <openssl/err.h>

#include <array>

#include "common/base/text.h"
#include "common/tls/connection_state.h"
#include "common/tls/openssl_error.h"

namespace qpop::tls {

namespace {

constexpr std::size_t kBatch = 64UL * 1024;  // octets that are encrypted before the socket is asked to take them

std::string digest_of(const X509& certificate) {
  int digest = NID_undef;
  if (::OBJ_find_sigid_algs(::X509_get_signature_nid(&certificate), &digest, nullptr) != 1) return {};
  // RFC 5929 section 4.1: SHA-256 in place of MD5 and SHA-1.
  if (digest == NID_md5 || digest == NID_sha1 || digest == NID_undef) digest = NID_sha256;
  std::array<unsigned char, EVP_MAX_MD_SIZE> octets{};
  unsigned size = 0;
  const EVP_MD* kind = ::EVP_get_digestbynid(digest);
  if (kind == nullptr || ::X509_digest(&certificate, kind, octets.data(), &size) != 1) return {};
  return {reinterpret_cast<const char*>(octets.data()), size};
}

std::string exporter_of(SSL& ssl) {
  // RFC 9266 section 4.2: with TLS 1.2 only where the master secret depends on the handshake.
  if (::SSL_version(&ssl) != TLS1_3_VERSION && SSL_get_extms_support(&ssl) != 1) return {};
  constexpr std::string_view kLabel = "EXPORTER-Channel-Binding";
  std::array<unsigned char, 32> octets{};
  const unsigned char none = 0;
  if (::SSL_export_keying_material(&ssl, octets.data(), octets.size(), kLabel.data(), kLabel.size(), &none, 0, 1) != 1) return {};
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

/// In words of ours where the library's lead nowhere.
std::string cause(unsigned long code) {
  if (code == 0) return "the connection was closed";
  switch (ERR_GET_REASON(code)) {
    case SSL_R_HTTP_REQUEST:
      return "the client speaks HTTP";
    case SSL_R_WRONG_VERSION_NUMBER:
      return "the client does not speak TLS";
    default: {
      const char* reason = ::ERR_reason_error_string(code);
      return reason == nullptr ? "refused by the TLS library" : base::escape_untrusted(reason);
    }
  }
}

}  // namespace

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}
Connection::~Connection() = default;

Connection::Outcome Connection::outcome_of(int result) {
  switch (::SSL_get_error(state_->ssl.get(), result)) {
    case SSL_ERROR_NONE:
      return Outcome::done;
    case SSL_ERROR_WANT_READ:
      return Outcome::want_read;
    case SSL_ERROR_WANT_WRITE:
      return Outcome::want_write;
    case SSL_ERROR_ZERO_RETURN:
      return Outcome::closed;
    case SSL_ERROR_SYSCALL:
      state_->broken = true;
      return Outcome::closed;
    default:
      state_->broken = true;
      state_->failure = cause(::ERR_peek_error());
      return Outcome::failed;
  }
}

/// Sends what the library wrote, its last words after a fault too; then `outcome` or why the socket did not take it.
Connection::Outcome Connection::send_records(Outcome outcome) {
  const auto sent = state_->records.send(state_->socket);
  if (outcome == Outcome::closed || outcome == Outcome::failed) return outcome;
  if (sent == RecordBuffer::Outcome::closed) {
    state_->broken = true;
    return Outcome::closed;
  }
  return sent == RecordBuffer::Outcome::full ? Outcome::want_write : outcome;
}

Connection::Outcome Connection::handshake() {
  ::ERR_clear_error();
  return send_records(outcome_of(::SSL_accept(state_->ssl.get())));
}

Connection::Outcome Connection::read(std::span<char> out, std::size_t& got) {
  ::ERR_clear_error();
  got = 0;
  const Outcome outcome = outcome_of(::SSL_read_ex(state_->ssl.get(), out.data(), out.size(), &got));
  return outcome == Outcome::done || !waiting() ? outcome : send_records(outcome);
}

Connection::Outcome Connection::write(std::string_view octets, std::size_t& put) {
  ::ERR_clear_error();
  put = 0;
  Outcome outcome = waiting() ? send_records(Outcome::done) : Outcome::done;
  if (outcome != Outcome::done) return outcome;
  while (outcome == Outcome::done && put < octets.size() && state_->records.waiting() < kBatch) {
    std::size_t taken = 0;
    outcome = outcome_of(::SSL_write_ex(state_->ssl.get(), octets.data() + put, octets.size() - put, &taken));
    put += taken;
  }
  return send_records(outcome);
}

bool Connection::waiting() const { return state_->records.waiting() != 0; }

bool Connection::has_input() const { return ::SSL_has_pending(state_->ssl.get()) == 1; }

void Connection::close_notify() {
  if (state_->broken || SSL_in_init(state_->ssl.get()) != 0) return;
  ::SSL_shutdown(state_->ssl.get());
  (void)state_->records.send(state_->socket);
  ::ERR_clear_error();
}

const std::string& Connection::failure() const { return state_->failure; }

ConnectionFacts Connection::facts() const {
  SSL& ssl = *state_->ssl;
  ConnectionFacts out;
  out.version = ::SSL_get_version(&ssl);
  if (const SSL_CIPHER* cipher = ::SSL_get_current_cipher(&ssl); cipher != nullptr) {
    out.cipher = ::SSL_CIPHER_get_name(cipher);
    out.cipher_bits = ::SSL_CIPHER_get_bits(cipher, nullptr);
  }
  out.resumed = ::SSL_session_reused(&ssl) == 1;
  out.exporter = exporter_of(ssl);
  if (const X509* own = ::SSL_get_certificate(&ssl); own != nullptr) out.server_end_point = digest_of(*own);
  return out;
}

std::string_view Connection::client_proof() const {
  const SSL& ssl = *state_->ssl;
  if (::SSL_version(&ssl) != TLS1_3_VERSION || ::SSL_get0_peer_certificate(&ssl) == nullptr || ::SSL_get_verify_result(&ssl) != X509_V_OK) return {};
  return state_->recorder.proof();
}

}  // namespace qpop::tls
