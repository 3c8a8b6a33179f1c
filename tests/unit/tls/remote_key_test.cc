// SPDX-License-Identifier: MIT
// Handshakes whose signatures are made elsewhere: every key, every version, and what happens when the signer refuses.
#include "common/tls/remote_key.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/test/unit_test.hpp>
#include <ctime>

#include "common/tls/issue.h"
#include "common/tls/key.h"

namespace {

using namespace qpop;
using namespace qpop::tls;

/// The other process, in this one: keys by number, and a count of what was signed.
struct FakeSigner {
  std::vector<KeyHandle> keys;
  std::vector<SignRequest> asked;
  bool refuse = false;

  base::Result<std::string> operator()(const SignRequest& request) {
    asked.push_back(request);
    if (refuse) return base::Error{base::ErrorKind::denied, "refused"};
    return sign_digest(*keys.at(request.key), request);
  }
};

FakeSigner& signer() {
  static FakeSigner instance;
  static const bool enabled = [] {
    return enable_remote_keys([](const SignRequest& request) { return instance(request); }).has_value();
  }();
  BOOST_REQUIRE(enabled);
  return instance;
}

struct Identity {
  Certificate certificate;
  std::uint32_t number;
};

Identity new_identity(KeyKind kind) {
  auto key = generate_key(kind);
  BOOST_REQUIRE(key.has_value());
  auto certificate = self_signed(**key, {.hosts = {"mail.example.org"}, .now = ::time(nullptr), .days = 10});
  BOOST_REQUIRE(certificate.has_value());
  signer().keys.push_back(std::move(*key));
  return {std::move(*certificate), static_cast<std::uint32_t>(signer().keys.size() - 1)};
}

using Context = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, Deleter<SSL_free>>;

/// Octets between both ends until neither goes on; true when both are done.
bool shake_hands(SSL& client, SSL& server) {
  BIO* ours = nullptr;
  BIO* theirs = nullptr;
  BOOST_REQUIRE(::BIO_new_bio_pair(&ours, 65536, &theirs, 65536) == 1);
  ::SSL_set_bio(&client, ours, ours);
  ::SSL_set_bio(&server, theirs, theirs);
  ::SSL_set_connect_state(&client);
  ::SSL_set_accept_state(&server);
  for (int i = 0; i < 20; ++i) {
    const bool done = ::SSL_do_handshake(&client) == 1;
    if (::SSL_do_handshake(&server) == 1 && done) return true;
  }
  ::ERR_clear_error();
  return false;
}

struct Way {
  KeyKind kind;
  int version;
  const char* groups_or_algorithms;  // signature algorithms the client offers
};

bool handshake(const Identity& identity, const Way& way, SSL_CTX& server_context) {
  const Context client_context{::SSL_CTX_new(::TLS_client_method())};
  ::X509_STORE_add_cert(::SSL_CTX_get_cert_store(client_context.get()), &identity.certificate.get());
  ::SSL_CTX_set_verify(client_context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_min_proto_version(client_context.get(), way.version);
  SSL_CTX_set_max_proto_version(client_context.get(), way.version);
  if (way.groups_or_algorithms != nullptr) BOOST_REQUIRE(::SSL_CTX_ctrl(client_context.get(), SSL_CTRL_SET_SIGALGS_LIST, 0, const_cast<char*>(way.groups_or_algorithms)) == 1);
  const Session client{::SSL_new(client_context.get())};
  const Session server{::SSL_new(&server_context)};
  BOOST_REQUIRE(::SSL_set1_host(client.get(), "mail.example.org") == 1);
  return shake_hands(*client, *server);
}

Context server_context(const Identity& identity, EVP_PKEY& key) {
  Context out{::SSL_CTX_new(::TLS_server_method())};
  BOOST_REQUIRE(::SSL_CTX_use_certificate(out.get(), &identity.certificate.get()) == 1);
  BOOST_REQUIRE(::SSL_CTX_use_PrivateKey(out.get(), &key) == 1);
  BOOST_REQUIRE(::SSL_CTX_check_private_key(out.get()) == 1);
  return out;
}

KeyHandle remote(const Identity& identity) {
  auto key = make_remote_key(identity.number, *identity.certificate.public_key());
  BOOST_REQUIRE_MESSAGE(key.has_value(), (key ? std::string{} : key.error().message()));
  return std::move(*key);
}

BOOST_AUTO_TEST_CASE(clients_verify_what_was_signed_elsewhere) {
  for (const auto& way : {Way{KeyKind::ecdsa_p256, TLS1_3_VERSION, nullptr}, Way{KeyKind::ecdsa_p256, TLS1_2_VERSION, nullptr},
                          Way{KeyKind::rsa_2048, TLS1_3_VERSION, nullptr}, Way{KeyKind::rsa_2048, TLS1_2_VERSION, nullptr},
                          Way{KeyKind::rsa_2048, TLS1_2_VERSION, "RSA+SHA256"}, Way{KeyKind::rsa_2048, TLS1_2_VERSION, "RSA+SHA512"},
                          Way{KeyKind::rsa_2048, TLS1_3_VERSION, "RSA-PSS+SHA384"}, Way{KeyKind::rsa_3072, TLS1_3_VERSION, nullptr},
                          Way{KeyKind::ecdsa_p256, TLS1_2_VERSION, "ECDSA+SHA384"}}) {
    const auto identity = new_identity(way.kind);
    const auto key = remote(identity);
    const auto context = server_context(identity, *key);
    const auto before = signer().asked.size();
    BOOST_TEST(handshake(identity, way, *context));
    BOOST_REQUIRE(signer().asked.size() == before + 1);
    BOOST_TEST(signer().asked.back().key == identity.number);
  }
}

BOOST_AUTO_TEST_CASE(a_refusal_or_another_key_ends_the_handshake) {
  const auto identity = new_identity(KeyKind::ecdsa_p256);
  const auto other = new_identity(KeyKind::ecdsa_p256);
  const Way way{KeyKind::ecdsa_p256, TLS1_3_VERSION, nullptr};
  const auto key = remote(identity);
  const auto context = server_context(identity, *key);
  signer().refuse = true;
  BOOST_TEST(!handshake(identity, way, *context));
  signer().refuse = false;
  BOOST_TEST(handshake(identity, way, *context));
  std::swap(signer().keys[identity.number], signer().keys[other.number]);
  BOOST_TEST(!handshake(identity, way, *context));
  std::swap(signer().keys[identity.number], signer().keys[other.number]);
}

BOOST_AUTO_TEST_CASE(a_certificate_of_another_key_is_refused) {
  const auto identity = new_identity(KeyKind::ecdsa_p256);
  const auto other = new_identity(KeyKind::ecdsa_p256);
  const auto key = remote(other);
  const Context context{::SSL_CTX_new(::TLS_server_method())};
  BOOST_REQUIRE(::SSL_CTX_use_certificate(context.get(), &identity.certificate.get()) == 1);
  BOOST_TEST(::SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1);
  ::ERR_clear_error();
}

BOOST_AUTO_TEST_CASE(the_library_uses_its_own_keys_as_ever) {
  signer();
  const auto asked = signer().asked.size();
  const auto identity = new_identity(KeyKind::rsa_2048);
  const auto context = server_context(identity, *signer().keys[identity.number]);
  BOOST_TEST(handshake(identity, {KeyKind::rsa_2048, TLS1_3_VERSION, nullptr}, *context));
  BOOST_TEST(signer().asked.size() == asked);
}

BOOST_AUTO_TEST_CASE(what_tls_does_not_sign_is_refused) {
  const auto ec = generate_key(KeyKind::ecdsa_p256);
  const auto rsa = generate_key(KeyKind::rsa_2048);
  const std::string digest(32, 'x');
  BOOST_TEST(sign_digest(**ec, {.key = 0, .scheme = Scheme::ecdsa, .digest = SignedDigest::sha256, .octets = digest}).has_value());
  BOOST_TEST(!sign_digest(**ec, {.key = 0, .scheme = Scheme::rsa_pss, .digest = SignedDigest::sha256, .octets = digest}).has_value());
  BOOST_TEST(!sign_digest(**rsa, {.key = 0, .scheme = Scheme::ecdsa, .digest = SignedDigest::sha256, .octets = digest}).has_value());
  BOOST_TEST(!sign_digest(**rsa, {.key = 0, .scheme = Scheme::rsa_pkcs1, .digest = SignedDigest::sha384, .octets = digest}).has_value());
  BOOST_TEST(!sign_digest(**rsa, {.key = 0, .scheme = Scheme::rsa_pkcs1, .digest = static_cast<SignedDigest>(9), .octets = digest}).has_value());
  BOOST_TEST(!sign_digest(**rsa, {.key = 0, .scheme = static_cast<Scheme>(9), .digest = SignedDigest::sha256, .octets = digest}).has_value());
  const KeyHandle odd{::EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
  BOOST_TEST(!make_remote_key(0, *odd).has_value());
}

}  // namespace
