// SPDX-License-Identifier: MIT
// Private keys: made, written as PEM, described.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/tls/handles.h"

namespace qpop::tls {

/// ECDSA P-256 is what every client of the last ten years takes, and the cheapest to sign with.
enum class KeyKind : std::uint8_t { ecdsa_p256, rsa_2048, rsa_3072 };

/// Text that holds a private key; wiped when it goes.
class KeyText {
 public:
  explicit KeyText(std::string text) : text_(std::move(text)) {}
  KeyText(KeyText&& other) noexcept : text_(std::move(other.text_)) { other.wipe(); }
  KeyText& operator=(KeyText&&) = delete;
  KeyText(const KeyText&) = delete;
  KeyText& operator=(const KeyText&) = delete;
  ~KeyText() { wipe(); }
  [[nodiscard]] std::string_view view() const { return text_; }

 private:
  void wipe();
  std::string text_;
};

/// Errors  io: no random source or no memory.
[[nodiscard]] base::Result<KeyHandle> generate_key(KeyKind kind);

/// PKCS#8, not encrypted. Errors  io.
[[nodiscard]] base::Result<KeyText> to_pem(EVP_PKEY& key);

/// As key_kind names: "ECDSA P-256", "RSA 2048 bits"; for people.
[[nodiscard]] std::string describe(const EVP_PKEY& key);

/// The kind to make a successor of `key` with; empty when it is none of ours.
[[nodiscard]] std::optional<KeyKind> kind_of(const EVP_PKEY& key);

/// Do both hold the same public key?
[[nodiscard]] bool same_public_key(const EVP_PKEY& a, const EVP_PKEY& b);

}  // namespace qpop::tls
