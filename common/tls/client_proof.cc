// SPDX-License-Identifier: MIT
// A handshake taken apart, and judged. Every octet of it may be made up.
#include "common/tls/client_proof.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "common/tls/openssl_error.h"

namespace qpop::tls {

namespace {

using base::Error;
using base::ErrorKind;

// HandshakeType (RFC 8446 section 4).
constexpr char kServerHello = 2;
constexpr char kCertificate = 11;
constexpr char kCertificateVerify = 15;
constexpr char kMessageHash = '\xFE';

/// SHA-256 of "HelloRetryRequest": a ServerHello with this random asks for another ClientHello.
constexpr std::string_view kRetryRandom{"\xCF\x21\xAD\x74\xE5\x9A\x61\x11\xBE\x1D\x8C\x02\x1E\x65\xB8\x91\xC2\xA2\x11\x16\x7A\xBB\x8C\x5E\x07\x9E\x09\xE2\xC8\xA8\x33\x9C", 32};
constexpr std::size_t kRandomAt = 6;  // type, length, version

bool is_retry(std::string_view message) { return message.size() > kRandomAt + 32 && message[0] == kServerHello && message.substr(kRandomAt, 32) == kRetryRandom; }

std::string hash(bool sha384, std::string_view octets) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (::EVP_Digest(octets.data(), octets.size(), digest.data(), &size, sha384 ? ::EVP_sha384() : ::EVP_sha256(), nullptr) != 1) return {};
  return {reinterpret_cast<const char*>(digest.data()), size};
}

struct SchemeRow {
  std::uint16_t id;
  const char* digest;  // nullptr: the key's own
  bool pss;
};
constexpr std::array kSchemes{SchemeRow{0x0403, "SHA256", false}, SchemeRow{0x0503, "SHA384", false}, SchemeRow{0x0603, "SHA512", false}, SchemeRow{0x0804, "SHA256", true},
                              SchemeRow{0x0805, "SHA384", true},  SchemeRow{0x0806, "SHA512", true},  SchemeRow{0x0809, "SHA256", true},  SchemeRow{0x080A, "SHA384", true},
                              SchemeRow{0x080B, "SHA512", true},  SchemeRow{0x0807, nullptr, false},  SchemeRow{0x0808, nullptr, false}};

/// Reads numbers and vectors of TLS; `good` turns false at the first octet that is not there.
class Reader {
 public:
  explicit Reader(std::string_view octets) : rest_(octets) {}
  std::size_t number(std::size_t octets) {
    std::size_t value = 0;
    for (const char c : take(octets)) value = value * 256 + static_cast<unsigned char>(c);
    return value;
  }
  std::string_view take(std::size_t octets) {
    if (octets > rest_.size()) {
      good_ = false;
      rest_ = {};
      return {};
    }
    const auto out = rest_.substr(0, octets);
    rest_.remove_prefix(octets);
    return out;
  }
  std::string_view vector(std::size_t length_octets) { return take(number(length_octets)); }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

struct Message {
  char type = 0;
  std::string_view body;
  std::string_view raw;  ///< with its header
};

struct Handshake {
  std::vector<Message> messages;
  bool sha384 = false;
  // Places in `messages`.
  std::size_t server_certificate = 0, server_verify = 0, client_certificate = 0, client_verify = 0;

  /// Hash of all messages up to and including the one at `last`.
  [[nodiscard]] std::string transcript(std::size_t last) const {
    std::string all;
    for (std::size_t i = 0; i <= last; ++i) {
      if (i == 0 && messages.size() > 1 && is_retry(messages[1].raw)) {
        const auto first = hash(sha384, messages[0].raw);
        all += std::string{kMessageHash, '\0', '\0', static_cast<char>(first.size())} + first;
      } else {
        all += messages[i].raw;
      }
    }
    return hash(sha384, all);
  }
};

base::Result<Handshake> take_apart(std::string_view proof) {
  constexpr std::size_t kMostMessages = 20;
  const Error malformed{ErrorKind::malformed, "no handshake of TLS 1.3 with a client's certificate"};
  Handshake out;
  Reader reader{proof};
  std::vector<std::size_t> certificates, verifies;
  while (!reader.at_end() && reader.good() && out.messages.size() < kMostMessages) {
    const auto head = reader.take(4);
    if (head.size() != 4) return malformed;
    const auto body = reader.take(Reader{head.substr(1)}.number(3));
    if (!reader.good()) return malformed;
    const auto at = out.messages.size();
    out.messages.push_back({head[0], body, {head.data(), head.size() + body.size()}});
    if (head[0] == kCertificate) certificates.push_back(at);
    if (head[0] == kCertificateVerify) verifies.push_back(at);
    if (head[0] == kServerHello) {
      Reader hello{body};
      hello.take(2 + 32);
      hello.vector(1);
      const auto cipher = hello.number(2);
      if (!hello.good() || (cipher >> 8U) != 0x13) return malformed;
      out.sha384 = cipher == 0x1302;
    }
  }
  if (!reader.at_end() || certificates.size() != 2 || verifies.size() != 2 || verifies[1] + 1 != out.messages.size() || verifies[0] != certificates[0] + 1 ||
      verifies[1] != certificates[1] + 1)
    return malformed;
  out.server_certificate = certificates[0];
  out.server_verify = verifies[0];
  out.client_certificate = certificates[1];
  out.client_verify = verifies[1];
  return out;
}

/// Certificates of a Certificate message.
base::Result<std::vector<Certificate>> read_chain(std::string_view body) {
  constexpr std::size_t kMost = 20;
  std::vector<Certificate> chain;
  Reader reader{body};
  reader.vector(1);  // certificate_request_context
  Reader list{reader.vector(3)};
  while (!list.at_end() && chain.size() < kMost) {
    const auto der = list.vector(3);
    list.vector(2);  // extensions
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    X509Handle certificate{list.good() ? ::d2i_X509(nullptr, &at, static_cast<long>(der.size())) : nullptr};
    ::ERR_clear_error();
    if (!certificate) return Error{ErrorKind::malformed, "a certificate that cannot be read"};
    chain.emplace_back(std::move(certificate));
  }
  if (!reader.good() || chain.empty()) return Error{ErrorKind::malformed, "no certificate"};
  return chain;
}

bool is_signed(const Handshake& handshake, std::size_t certificate, std::size_t verify, std::string_view who, const Certificate& signer) {
  Reader reader{handshake.messages[verify].body};
  const auto scheme = reader.number(2);
  const auto signature = reader.vector(2);
  EVP_PKEY* key = signer.public_key();
  const SchemeRow* row = nullptr;
  for (const auto& candidate : kSchemes) row = candidate.id == scheme ? &candidate : row;
  if (!reader.good() || row == nullptr || key == nullptr) return false;
  // An RSA key goes with PSS alone: PKCS#1 is not allowed here.
  const bool rsa = EVP_PKEY_is_a(key, "RSA") == 1 || EVP_PKEY_is_a(key, "RSA-PSS") == 1;
  if (rsa != row->pss) return false;
  std::string content(64, ' ');
  content += "TLS 1.3, ";
  content += who;
  content += " CertificateVerify";
  content += '\0';
  content += handshake.transcript(certificate);
  const std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>> context{::EVP_MD_CTX_new()};
  EVP_PKEY_CTX* details = nullptr;
  if (!context || ::EVP_DigestVerifyInit_ex(context.get(), &details, row->digest, nullptr, nullptr, key, nullptr) != 1) return false;
  if (row->pss && (::EVP_PKEY_CTX_set_rsa_padding(details, RSA_PKCS1_PSS_PADDING) != 1 || ::EVP_PKEY_CTX_set_rsa_pss_saltlen(details, RSA_PSS_SALTLEN_DIGEST) != 1)) return false;
  return ::EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                            reinterpret_cast<const unsigned char*>(content.data()), content.size()) == 1;
}

base::Status check_chain(const std::vector<Certificate>& chain, const std::vector<Certificate>& authorities, std::int64_t now) {
  const std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>> store{::X509_STORE_new()};
  const std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>> context{::X509_STORE_CTX_new()};
  const StackHandle others{sk_X509_new_null()};
  if (!store || !context || !others) return Error{ErrorKind::io, "out of memory"};
  for (const auto& authority : authorities) ::X509_STORE_add_cert(store.get(), &authority.get());
  for (std::size_t i = 1; i < chain.size(); ++i) {
    ::X509_up_ref(&chain[i].get());
    if (sk_X509_push(others.get(), &chain[i].get()) == 0) ::X509_free(&chain[i].get());
  }
  if (::X509_STORE_CTX_init(context.get(), store.get(), &chain.front().get(), others.get()) != 1) return openssl_error(ErrorKind::io, "check a certificate");
  ::X509_VERIFY_PARAM_set_time(::X509_STORE_CTX_get0_param(context.get()), now);
  ::X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_CLIENT);
  if (::X509_verify_cert(context.get()) == 1) return {};
  const char* why = ::X509_verify_cert_error_string(::X509_STORE_CTX_get_error(context.get()));
  ::ERR_clear_error();
  return Error{ErrorKind::denied, why == nullptr ? "certificate refused" : why};
}

}  // namespace

void HandshakeRecorder::add(std::string_view message) {
  if (message.size() < 4 || verifies_ == 2 || messages_.size() > kMostOctets) return;
  messages_ += message;
  if (message[0] == kCertificateVerify) ++verifies_;
}

base::Result<std::string> verify_client(std::string_view proof, const Profile& profile, std::int64_t now) {
  auto handshake = take_apart(proof);
  if (!handshake) return handshake.error();
  auto server = read_chain(handshake->messages[handshake->server_certificate].body);
  auto client = read_chain(handshake->messages[handshake->client_certificate].body);
  if (!server) return server.error();
  if (!client) return client.error();
  const bool ours = std::ranges::any_of(profile.identities, [&](const Identity& identity) { return identity.chain.front() == server->front(); });
  if (!ours || !is_signed(*handshake, handshake->server_certificate, handshake->server_verify, "server", server->front())) {
    ::ERR_clear_error();
    return Error{ErrorKind::denied, "a handshake with another server"};
  }
  const bool is_his = is_signed(*handshake, handshake->client_certificate, handshake->client_verify, "client", client->front());
  ::ERR_clear_error();
  if (!is_his) return Error{ErrorKind::denied, "the handshake was not signed with the key of the client's certificate"};
  if (auto fine = check_chain(*client, profile.client_authorities, now); !fine) return fine.error();
  return client->front().common_name();
}

}  // namespace qpop::tls
