// SPDX-License-Identifier: MIT
// Sealed boxes over OpenSSL 3 EVP.
#include "common/digest/seal.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <cstring>
#include <memory>

#include "common/digest/digest.h"

namespace qpop::digest {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Secret;

struct KeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct KeyCtxFree {
  void operator()(EVP_PKEY_CTX* ctx) const { EVP_PKEY_CTX_free(ctx); }
};
struct KdfFree {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
};
struct KdfCtxFree {
  void operator()(EVP_KDF_CTX* ctx) const { EVP_KDF_CTX_free(ctx); }
};
struct CipherCtxFree {
  void operator()(EVP_CIPHER_CTX* ctx) const { EVP_CIPHER_CTX_free(ctx); }
};
using Key = std::unique_ptr<EVP_PKEY, KeyFree>;
using KeyCtx = std::unique_ptr<EVP_PKEY_CTX, KeyCtxFree>;
using CipherCtx = std::unique_ptr<EVP_CIPHER_CTX, CipherCtxFree>;

constexpr std::size_t kKeyOctets = 32;
constexpr std::size_t kNonceOctets = 12;
constexpr std::size_t kTagOctets = 16;
constexpr std::size_t kPlainOctets = 256;
constexpr std::string_view kLabel = "qpopper sealed secret 1";

static_assert(kPlainOctets == 1 + Secret::kMaxOctets);

const unsigned char* octets(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
std::string_view view(const PublicKey& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}
Error failed(const char* what) {
  return Error{ErrorKind::io, std::string{"OpenSSL: "} + what + " failed"};
}

/// Octets on the stack that are wiped on every way out.
template <std::size_t N>
struct Wiped {
  std::array<unsigned char, N> bytes{};
  Wiped() = default;
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  ~Wiped() { base::wipe(reinterpret_cast<char*>(bytes.data()), N); }
};

using Derived = Wiped<kKeyOctets + kNonceOctets>;

Key private_key(std::string_view raw) {
  return Key{EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, octets(raw), raw.size())};
}

bool export_public(const EVP_PKEY* key, PublicKey& out) {
  std::size_t size = out.size();
  return EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(out.data()), &size) == 1 &&
         size == out.size();
}

bool agree(EVP_PKEY* mine, const PublicKey& theirs, Wiped<kKeyOctets>& shared) {
  const Key peer{EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, octets(view(theirs)), theirs.size())};
  const KeyCtx ctx{EVP_PKEY_CTX_new(mine, nullptr)};
  std::size_t size = shared.bytes.size();
  return peer && ctx && EVP_PKEY_derive_init(ctx.get()) == 1 && EVP_PKEY_derive_set_peer(ctx.get(), peer.get()) == 1 &&
         EVP_PKEY_derive(ctx.get(), shared.bytes.data(), &size) == 1 && size == shared.bytes.size();
}

bool derive(Wiped<kKeyOctets>& shared, const PublicKey& ephemeral, const PublicKey& recipient, Derived& out) {
  std::string salt{view(ephemeral)};
  salt += view(recipient);
  std::string label{kLabel};
  char digest[] = "SHA256";
  const std::unique_ptr<EVP_KDF, KdfFree> kdf{EVP_KDF_fetch(nullptr, "HKDF", nullptr)};
  const std::unique_ptr<EVP_KDF_CTX, KdfCtxFree> ctx{EVP_KDF_CTX_new(kdf.get())};
  const std::array<OSSL_PARAM, 5> params{
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, shared.bytes.data(), shared.bytes.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt.data(), salt.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, label.data(), label.size()),
      OSSL_PARAM_construct_end(),
  };
  return ctx && EVP_KDF_derive(ctx.get(), out.bytes.data(), out.bytes.size(), params.data()) == 1;
}

/// Version and ephemeral key stand in the clear in front of the cipher text; the derivation binds the key, this binds
/// both.
bool add_associated(EVP_CIPHER_CTX* ctx, std::string_view head, std::string_view associated, bool encrypt) {
  const auto update = encrypt ? EVP_EncryptUpdate : EVP_DecryptUpdate;
  int size = 0;
  return update(ctx, nullptr, &size, octets(head), static_cast<int>(head.size())) == 1 &&
         (associated.empty() ||
          update(ctx, nullptr, &size, octets(associated), static_cast<int>(associated.size())) == 1);
}

bool encrypt(const Derived& derived, std::string_view associated, const Wiped<kPlainOctets>& plain, std::string& blob) {
  const CipherCtx ctx{EVP_CIPHER_CTX_new()};
  const auto* key = derived.bytes.data();
  if (!ctx || EVP_EncryptInit_ex(ctx.get(), EVP_aes_256_gcm(), nullptr, key, key + kKeyOctets) != 1) return false;
  if (!add_associated(ctx.get(), blob, associated, true)) return false;
  const std::size_t head = blob.size();
  blob.resize(head + kPlainOctets + kTagOctets);
  auto* out = reinterpret_cast<unsigned char*>(blob.data()) + head;
  int size = 0;
  return EVP_EncryptUpdate(ctx.get(), out, &size, plain.bytes.data(), static_cast<int>(kPlainOctets)) == 1 &&
         EVP_EncryptFinal_ex(ctx.get(), out + size, &size) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(kTagOctets), out + kPlainOctets) == 1;
}

bool decrypt(const Derived& derived, std::string_view associated, std::string_view blob, Wiped<kPlainOctets>& plain) {
  const CipherCtx ctx{EVP_CIPHER_CTX_new()};
  const auto* key = derived.bytes.data();
  constexpr std::size_t kHead = 1 + kKeyOctets;
  std::string tag{blob.substr(kHead + kPlainOctets)};
  if (!ctx || EVP_DecryptInit_ex(ctx.get(), EVP_aes_256_gcm(), nullptr, key, key + kKeyOctets) != 1) return false;
  if (!add_associated(ctx.get(), blob.substr(0, kHead), associated, false)) return false;
  int size = 0;
  return EVP_DecryptUpdate(ctx.get(), plain.bytes.data(), &size, octets(blob.substr(kHead)),
                           static_cast<int>(kPlainOctets)) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(kTagOctets), tag.data()) == 1 &&
         EVP_DecryptFinal_ex(ctx.get(), plain.bytes.data() + size, &size) == 1;
}

}  // namespace

Result<KeyPair> generate_key_pair() {
  const Key key{EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519")};
  KeyPair pair;
  Wiped<kKeyOctets> raw;
  std::size_t size = raw.bytes.size();
  if (!key || !export_public(key.get(), pair.public_key) ||
      EVP_PKEY_get_raw_private_key(key.get(), raw.bytes.data(), &size) != 1) {
    return failed("key generation");
  }
  pair.private_key.assign({reinterpret_cast<const char*>(raw.bytes.data()), size});
  return pair;
}

Result<PublicKey> public_key_of(const Secret& secret) {
  const auto opener = Opener::make(secret);
  if (!opener) return opener.error();
  return opener->public_key();
}

Result<std::string> seal(const PublicKey& recipient, std::string_view plain, std::string_view associated) {
  if (plain.size() > Secret::kMaxOctets) return Error{ErrorKind::limit, "secret longer than 255 octets"};
  const auto ephemeral = generate_key_pair();
  if (!ephemeral) return ephemeral.error();
  const Key mine = private_key(ephemeral->private_key.view());
  Wiped<kKeyOctets> shared;
  if (!mine || !agree(mine.get(), recipient, shared)) return Error{ErrorKind::malformed, "unusable public key"};
  Derived derived;
  if (!derive(shared, ephemeral->public_key, recipient, derived)) return failed("HKDF");
  Wiped<kPlainOctets> padded;
  padded.bytes[0] = static_cast<unsigned char>(plain.size());
  if (!plain.empty()) std::memcpy(padded.bytes.data() + 1, plain.data(), plain.size());
  std::string blob(1, static_cast<char>(kSealVersion));
  blob += view(ephemeral->public_key);
  if (!encrypt(derived, associated, padded, blob)) return failed("AES-256-GCM");
  return blob;
}

struct Opener::Ready {
  Key mine;
  PublicKey public_key{};
};

Opener::Opener(std::unique_ptr<Ready> ready) : ready_(std::move(ready)) {}
Opener::Opener(Opener&&) noexcept = default;
Opener& Opener::operator=(Opener&&) noexcept = default;
Opener::~Opener() = default;

const PublicKey& Opener::public_key() const { return ready_->public_key; }

Result<Opener> Opener::make(const Secret& secret) {
  if (secret.view().size() != kKeyOctets) return Error{ErrorKind::malformed, "private key is not 32 octets"};
  auto ready = std::make_unique<Ready>();
  ready->mine = private_key(secret.view());
  if (!ready->mine || !export_public(ready->mine.get(), ready->public_key)) return failed("reading a private key");
  return Opener{std::move(ready)};
}

Result<Secret> Opener::open(std::string_view blob, std::string_view associated) const {
  ++work().unsealed;
  if (blob.size() != kSealedOctets || static_cast<std::byte>(blob.front()) != kSealVersion) {
    return Error{ErrorKind::malformed, "sealed secret has an unknown form"};
  }
  PublicKey ephemeral{};
  std::memcpy(ephemeral.data(), blob.data() + 1, ephemeral.size());
  Wiped<kKeyOctets> shared;
  Derived derived;
  Wiped<kPlainOctets> plain;
  const Error refused{ErrorKind::denied, "sealed secret does not belong to this key and record, or is damaged"};
  if (!agree(ready_->mine.get(), ephemeral, shared)) return refused;
  if (!derive(shared, ephemeral, ready_->public_key, derived)) return failed("HKDF");
  if (!decrypt(derived, associated, blob, plain)) return refused;
  return Secret{std::string_view{reinterpret_cast<const char*>(plain.bytes.data()) + 1, plain.bytes[0]}};
}

}  // namespace qpop::digest
