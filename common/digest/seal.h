// SPDX-License-Identifier: MIT
// Sealed boxes: anybody with the public key can write a secret, only the holder of the private key can read it.
//
// Why: set-uid popauth must store APOP secrets, which are needed in plain by the server, without being able to read
// one. Scheme: X25519 with a fresh key pair for each blob -> HKDF-SHA-256 (salt: both public keys; info: a fixed label)
// -> AES-256-GCM. Key and nonce come out of one derivation and serve for one blob only, so the nonce needs no room.
//
// Blob    kSealedOctets octets: version 1 | ephemeral public key 32 | cipher text 256 | tag 16
// Plain   length octet | secret | zeros up to 256 octets: the size of a blob says nothing about the secret's length.
// Source  RFC 7748, RFC 5869, NIST SP 800-38D
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/secret.h"

namespace qpop::digest {

using PublicKey = std::array<std::byte, 32>;

/// `private_key` holds the 32 raw octets of X25519.
struct KeyPair {
  PublicKey public_key{};
  base::Secret private_key;
};

inline constexpr std::byte kSealVersion{1};
inline constexpr std::size_t kSealedOctets = 1 + 32 + 256 + 16;

/// Errors  io: OpenSSL failed (no memory, no random source).
[[nodiscard]] base::Result<KeyPair> generate_key_pair();

/// The public key that belongs to a private one.
/// Errors  malformed: `private_key` is not 32 octets.
[[nodiscard]] base::Result<PublicKey> public_key_of(const base::Secret& private_key);

/// Seals up to 255 octets. `associated` is not stored; open() succeeds only with the same octets, so that a blob cannot
/// be moved from one record to another. Errors  limit: plain too long; malformed: the public key is a point of small
/// order; io: OpenSSL failed.
[[nodiscard]] base::Result<std::string> seal(const PublicKey& key, std::string_view plain, std::string_view associated);

/// A private key made ready to open many blobs: each costs one multiplication on the curve, where the raw octets would cost two more.
class Opener {
 public:
  /// Errors  as public_key_of().
  [[nodiscard]] static base::Result<Opener> make(const base::Secret& private_key);
  Opener(Opener&&) noexcept;
  Opener& operator=(Opener&&) noexcept;
  ~Opener();

  [[nodiscard]] const PublicKey& public_key() const;
  /// Errors  malformed: another version or length; denied: wrong key, wrong associated octets, or a changed blob.
  [[nodiscard]] base::Result<base::Secret> open(std::string_view blob, std::string_view associated) const;

 private:
  struct Ready;
  explicit Opener(std::unique_ptr<Ready> ready);
  std::unique_ptr<Ready> ready_;
};

}  // namespace qpop::digest
