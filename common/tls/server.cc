// SPDX-License-Identifier: MIT
// OpenSSL as a server; the callbacks are C functions, no exception leaves them.
#include "common/tls/server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <exception>

#include "common/tls/connection_state.h"
#include "common/tls/openssl_error.h"

namespace qpop::tls {

namespace {

using base::Error;
using base::ErrorKind;

constexpr const char* kGroups = "X25519:P-256:P-384:P-521";  // no finite fields: they cost us more than the client
constexpr std::string_view kProtocol = "pop3";          // RFC 7301 registry
constexpr std::string_view kSessionContext = "popper";  // sessions of this service only
constexpr long kSessionSeconds = 7200;
constexpr std::size_t kMostSession = 900;  // must fit a message between processes; one without certificates has some 200

using SessionHandle = std::unique_ptr<SSL_SESSION, Deleter<SSL_SESSION_free>>;

int choose_protocol(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size, const unsigned char* offered, unsigned size, void* /*argument*/) {
  for (unsigned at = 0; at < size; at += 1U + offered[at]) {
    const unsigned length = offered[at];
    if (at + 1 + length > size) break;
    if (std::string_view{reinterpret_cast<const char*>(offered + at + 1), length} != kProtocol) continue;
    *out = offered + at + 1;
    *out_size = static_cast<unsigned char>(length);
    return SSL_TLSEXT_ERR_OK;
  }
  // A client of another protocol, sent here by somebody (RFC 7301 section 3.2).
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// The name was taken note of; which certificate it leads to is decided in choose_identities().
int take_name(SSL* ssl, int* /*alert*/, void* /*argument*/) {
  return ::SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != nullptr ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

void record_message(int /*sent*/, int /*version*/, int type, const void* octets, std::size_t size, SSL* /*ssl*/, void* recorder) {
  if (type != SSL3_RT_HANDSHAKE) return;
  try {
    static_cast<HandshakeRecorder*>(recorder)->add({static_cast<const char*>(octets), size});
  } catch (const std::exception&) {
    // No proof then.
  }
}

/// A certificate that does not hold is one that is not there: whoever has none may still log in otherwise.
int take_any_client(int /*verified*/, X509_STORE_CTX* /*context*/) { return 1; }

}  // namespace

struct Server::State {
  struct Pair {
    Identity identity;
    KeyHandle key;
    int kind = EVP_PKEY_NONE;
  };

  std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>> context;
  Hooks hooks;
  std::vector<Pair> pairs;

  static State& of(SSL_CTX* context) { return *static_cast<State*>(SSL_CTX_get_app_data(context)); }
  static State& of(SSL* ssl) { return of(::SSL_get_SSL_CTX(ssl)); }

  [[nodiscard]] bool use(SSL* ssl, const Pair& pair) const;
  [[nodiscard]] bool choose(SSL* ssl) const;
  static int on_certificate(SSL* ssl, void* argument);
  static int on_new_session(SSL* ssl, SSL_SESSION* session);
  static SSL_SESSION* on_get_session(SSL* ssl, const unsigned char* id, int size, int* copy);
};

bool Server::State::use(SSL* ssl, const Pair& pair) const {
  const StackHandle issuers{sk_X509_new_null()};
  if (!issuers) return false;
  for (std::size_t i = 1; i < pair.identity.chain.size(); ++i) {
    X509* issuer = &pair.identity.chain[i].get();
    ::X509_up_ref(issuer);
    if (sk_X509_push(issuers.get(), issuer) == 0) return ::X509_free(issuer), false;
  }
  return ::SSL_use_cert_and_key(ssl, &pair.identity.chain.front().get(), pair.key.get(), issuers.get(), 1) == 1;
}

/// Of those for the name the client asked for, or of all when there is none: the first of each kind of key. The library then takes the kind
/// that the client can verify.
bool Server::State::choose(SSL* ssl) const {
  const char* asked = ::SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const std::string name = asked == nullptr ? "" : asked;
  bool by_name = false;
  for (const auto& pair : pairs) by_name = by_name || (!name.empty() && pair.identity.chain.front().is_for(name));
  std::vector<int> kinds;
  for (const auto& pair : pairs) {
    if (by_name && !pair.identity.chain.front().is_for(name)) continue;
    if (std::ranges::find(kinds, pair.kind) != kinds.end()) continue;
    if (!use(ssl, pair)) return false;
    kinds.push_back(pair.kind);
  }
  return !kinds.empty();
}

int Server::State::on_certificate(SSL* ssl, void* argument) {
  try {
    return static_cast<const State*>(argument)->choose(ssl) ? 1 : 0;
  } catch (const std::exception&) {
    return 0;
  }
}

int Server::State::on_new_session(SSL* ssl, SSL_SESSION* session) {
  try {
    // What a client's certificate proved is proved anew by each connection.
    const State& state = of(ssl);
    const int size = ::i2d_SSL_SESSION(session, nullptr);
    if (!state.hooks.store || ::SSL_SESSION_get0_peer(session) != nullptr || size <= 0 || static_cast<std::size_t>(size) > kMostSession) return 0;
    std::string octets(static_cast<std::size_t>(size), '\0');
    auto* at = reinterpret_cast<unsigned char*>(octets.data());
    ::i2d_SSL_SESSION(session, &at);
    unsigned id_size = 0;
    const unsigned char* id = ::SSL_SESSION_get_id(session, &id_size);
    state.hooks.store({reinterpret_cast<const char*>(id), id_size}, octets);
    ::OPENSSL_cleanse(octets.data(), octets.size());
  } catch (const std::exception&) {
    // It cannot be resumed, that is all.
  }
  return 0;  // the library keeps its own reference
}

SSL_SESSION* Server::State::on_get_session(SSL* ssl, const unsigned char* id, int size, int* copy) {
  *copy = 0;  // ours to give away
  try {
    const State& state = of(ssl);
    if (!state.hooks.find || size <= 0) return nullptr;
    // TLS 1.3 sends a new number with each connection; with TLS 1.2 the client goes on using the same.
    auto octets = state.hooks.find({reinterpret_cast<const char*>(id), static_cast<std::size_t>(size)}, ::SSL_version(ssl) == TLS1_3_VERSION);
    if (octets.empty()) return nullptr;
    const auto* at = reinterpret_cast<const unsigned char*>(octets.data());
    SSL_SESSION* session = ::d2i_SSL_SESSION(nullptr, &at, static_cast<long>(octets.size()));
    ::OPENSSL_cleanse(octets.data(), octets.size());
    ::ERR_clear_error();
    return session;
  } catch (const std::exception&) {
    return nullptr;
  }
}

base::Status check_ciphers(const std::string& ciphers) {
  if (ciphers.empty()) return {};
  const std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>> context{::SSL_CTX_new(::TLS_server_method())};
  if (!context || ::SSL_CTX_set_cipher_list(context.get(), ciphers.c_str()) != 1)
    return openssl_error(ErrorKind::malformed, "tls-cipher-list").at("option");
  return {};
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;

base::Result<Server> Server::prepare(Hooks hooks) {
  // No configuration file of OpenSSL's: it could load modules into this process.
  ::OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS, nullptr);
  if (hooks.sign) {
    if (auto enabled = enable_remote_keys(hooks.sign); !enabled) return enabled.error();
  }
  auto state = std::make_unique<State>();
  state->hooks = std::move(hooks);
  state->context.reset(::SSL_CTX_new(::TLS_server_method()));
  SSL_CTX* context = state->context.get();
  if (context == nullptr) return openssl_error(ErrorKind::io, "prepare TLS");
  SSL_CTX_set_app_data(context, state.get());
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // No renegotiation and no ticket key; the end of a connection ends a session of POP3 whether it was announced or not.
  ::SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
  ::SSL_CTX_set_timeout(context, kSessionSeconds);
  ::SSL_CTX_set_num_tickets(context, 1);
  ::SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kSessionContext.data()), kSessionContext.size());
  ::SSL_CTX_sess_set_new_cb(context, State::on_new_session);
  ::SSL_CTX_sess_set_get_cb(context, State::on_get_session);
  ::SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  ::SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB, reinterpret_cast<void (*)()>(take_name));
  ::SSL_CTX_set_cert_cb(context, State::on_certificate, state.get());
  if (::SSL_CTX_set_cipher_list(context, kCiphers) != 1 || SSL_CTX_set1_groups_list(context, const_cast<char*>(kGroups)) != 1) return openssl_error(ErrorKind::io, "choose ciphers");
  return Server{std::move(state)};
}

base::Status Server::configure(Profile profile) {
  SSL_CTX* context = state_->context.get();
  if (profile.only_1_3) SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  if (profile.only_1_2) SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  if (!profile.ciphers.empty() && ::SSL_CTX_set_cipher_list(context, profile.ciphers.c_str()) != 1) return openssl_error(ErrorKind::malformed, "tls-cipher-list");
  if (!profile.client_authorities.empty()) {
    X509_STORE* store = ::SSL_CTX_get_cert_store(context);
    for (const auto& authority : profile.client_authorities) {
      if (::X509_STORE_add_cert(store, &authority.get()) != 1 || ::SSL_CTX_add_client_CA(context, &authority.get()) != 1)
        return openssl_error(ErrorKind::io, "authority of clients");
    }
    ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, take_any_client);
  }
  state_->pairs.clear();
  for (auto& identity : profile.identities) {
    const EVP_PKEY* public_key = identity.chain.front().public_key();
    if (public_key == nullptr) return Error{ErrorKind::unsupported, "a certificate without a public key"};
    auto key = make_remote_key(identity.key, *public_key);
    if (!key) return key.error();
    state_->pairs.push_back({std::move(identity), std::move(*key), ::EVP_PKEY_get_base_id(public_key)});
  }
  return {};
}

base::Result<std::unique_ptr<Connection>> Server::connect(int fd) {
  auto state = std::make_unique<Connection::State>();
  state->ssl.reset(::SSL_new(state_->context.get()));
  BioHandle input{::BIO_new_socket(fd, BIO_NOCLOSE)};
  BioHandle output{state->records.make_bio()};
  if (!state->ssl || !input || !output) return openssl_error(ErrorKind::io, "begin TLS");
  ::SSL_set_bio(state->ssl.get(), input.release(), output.release());
  state->socket = fd;
  if (::SSL_get_verify_mode(state->ssl.get()) != SSL_VERIFY_NONE) {
    ::SSL_set_msg_callback(state->ssl.get(), record_message);
    SSL_set_msg_callback_arg(state->ssl.get(), &state->recorder);
  }
  ::SSL_set_accept_state(state->ssl.get());
  return std::unique_ptr<Connection>{new Connection{std::move(state)}};
}

}  // namespace qpop::tls
