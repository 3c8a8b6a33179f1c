// SPDX-License-Identifier: MIT
// Proof and signature of SCRAM-SHA-256.
#include "common/sasl/scram_server.h"

#include <array>

#include "common/base/secret.h"

namespace qpop::sasl {

namespace {
constexpr std::size_t kNonceOctets = 18;  // 24 characters of base64 without padding
}  // namespace

ScramServer::ScramServer(ScramSecret secret, std::string_view first_bare, std::string_view client_nonce)
    : secret_(std::move(secret)), bare_(first_bare), nonce_(client_nonce) {
  std::array<std::byte, kNonceOctets> random{};
  digest::random_bytes(random);
  nonce_ += digest::base64_encode(digest::view_of(random));
  first_ = "r=" + nonce_ + ",s=" + digest::base64_encode(secret_.salt) + ",i=" + std::to_string(secret_.iterations);
}

base::Result<std::string> ScramServer::finish(std::string_view without_proof, std::string_view nonce, const digest::Digest32& proof) {
  const bool again = std::exchange(finished_, true);
  const std::string message = bare_ + "," + first_ + "," + std::string{without_proof};
  // ClientKey = ClientProof XOR ClientSignature; its hash must be StoredKey.
  auto client_key = digest::hmac_sha256(digest::view_of(secret_.stored_key), message);
  for (std::size_t i = 0; i < client_key.size(); ++i) client_key[i] ^= proof[i];
  const std::array<std::string_view, 1> parts{digest::view_of(client_key)};
  const auto hashed = digest::sha256(parts);
  base::wipe(client_key);  // whoever has it can log in
  const bool right = base::equal_constant_time(digest::view_of(hashed), digest::view_of(secret_.stored_key));
  const bool ours = base::equal_constant_time(nonce, nonce_);
  if (again || !ours || !right) return base::Error{base::ErrorKind::denied, ours ? "wrong proof" : "wrong nonce"};
  return "v=" + digest::base64_encode(digest::view_of(digest::hmac_sha256(digest::view_of(secret_.server_key), message)));
}

}  // namespace qpop::sasl
