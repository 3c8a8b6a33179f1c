// SPDX-License-Identifier: MIT
// A private key that lies in another process: OpenSSL's handshake runs here, each signature is made there.
//
// A provider of OpenSSL 3 holds keys that know their public half and a number. When the library wants a signature, the octets to be signed
// are hashed here and the digest goes to whoever has the key. Everything else stays with the default provider.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/base/result.h"
#include "common/tls/handles.h"

namespace qpop::tls {

enum class Scheme : std::uint32_t { ecdsa, rsa_pkcs1, rsa_pss };

/// What TLS 1.2 and 1.3 sign with ECDSA and RSA keys. PSS: salt as long as the digest, MGF1 with the same digest.
enum class SignedDigest : std::uint32_t { sha256, sha384, sha512 };

struct SignRequest {
  std::uint32_t key = 0;
  Scheme scheme = Scheme::ecdsa;
  SignedDigest digest = SignedDigest::sha256;
  std::string octets;  ///< the digest, 32, 48 or 64 octets
};

/// Returns the signature as TLS sends it.
using Sign = std::function<base::Result<std::string>(const SignRequest&)>;

/// Loads the provider into this process, before any key is made. `sign` serves all of them. Once a process.
/// Errors  io: of the library.
[[nodiscard]] base::Status enable_remote_keys(Sign sign);

/// A key whose signatures are asked for under `number`. `public_key`: RSA or EC, for example that of its certificate.
/// Errors  unsupported: another kind of key; io: of the library, or enable_remote_keys() was not called.
[[nodiscard]] base::Result<KeyHandle> make_remote_key(std::uint32_t number, const EVP_PKEY& public_key);

/// The other side: signs with the key itself.
/// Errors  malformed: the digest has another length, or the scheme does not fit the key; io: of the library.
[[nodiscard]] base::Result<std::string> sign_digest(EVP_PKEY& key, const SignRequest& request);

/// 32, 48 or 64.
[[nodiscard]] std::size_t octets_of(SignedDigest digest);

}  // namespace qpop::tls
