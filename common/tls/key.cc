// SPDX-License-Identifier: MIT
// Private keys by OpenSSL's EVP interface.
#include "common/tls/key.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/tls/openssl_error.h"

namespace qpop::tls {

void KeyText::wipe() {
  if (!text_.empty()) ::OPENSSL_cleanse(text_.data(), text_.size());
  text_.clear();
}

base::Result<KeyHandle> generate_key(KeyKind kind) {
  KeyHandle key;
  switch (kind) {
    case KeyKind::ecdsa_p256:
      // EVP_EC_gen() is a macro with a cast that Clang refuses.
      key.reset(::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
      break;
    case KeyKind::rsa_2048:
      key.reset(EVP_RSA_gen(2048));
      break;
    case KeyKind::rsa_3072:
      key.reset(EVP_RSA_gen(3072));
      break;
  }
  if (!key) return openssl_error(base::ErrorKind::io, "make a private key");
  return key;
}

base::Result<KeyText> to_pem(EVP_PKEY& key) {
  // The secure memory BIO wipes its buffers.
  const BioHandle out{::BIO_new(::BIO_s_secmem())};
  if (!out || ::PEM_write_bio_PKCS8PrivateKey(out.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return openssl_error(base::ErrorKind::io, "encode a private key");
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out.get(), &bytes);
  return KeyText{std::string(bytes, static_cast<std::size_t>(size))};
}

std::string describe(const EVP_PKEY& key) {
  if (EVP_PKEY_is_a(&key, "RSA") == 1 || EVP_PKEY_is_a(&key, "RSA-PSS") == 1) return fmt::format("RSA {} bits", ::EVP_PKEY_get_bits(&key));
  std::array<char, 64> group{};
  std::size_t size = 0;
  if (EVP_PKEY_is_a(&key, "EC") == 1 && ::EVP_PKEY_get_group_name(&key, group.data(), group.size(), &size) == 1) {
    const std::string_view name{group.data(), size};
    return fmt::format("ECDSA {}", name == "prime256v1" ? "P-256" : name == "secp384r1" ? "P-384" : name == "secp521r1" ? "P-521" : name);
  }
  const char* type = ::EVP_PKEY_get0_type_name(&key);
  return fmt::format("{} {} bits", type == nullptr ? "unknown" : type, ::EVP_PKEY_get_bits(&key));
}

std::optional<KeyKind> kind_of(const EVP_PKEY& key) {
  if (describe(key) == "ECDSA P-256") return KeyKind::ecdsa_p256;
  if (EVP_PKEY_is_a(&key, "RSA") != 1) return {};
  return ::EVP_PKEY_get_bits(&key) <= 2048 ? KeyKind::rsa_2048 : KeyKind::rsa_3072;
}

bool same_public_key(const EVP_PKEY& a, const EVP_PKEY& b) { return ::EVP_PKEY_eq(&a, &b) == 1; }

}  // namespace qpop::tls
