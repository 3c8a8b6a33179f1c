// SPDX-License-Identifier: MIT
// What the database knows of an account, and the tests of a password against it. No descriptor, no file.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/digest/digest.h"
#include "common/digest/seal.h"

namespace qpop::authdb {

/// 3.7 ms on a slow core of 2024; RFC 7677 section 4 asks for 4096 at least. The upper bound keeps a made-up record
/// from stopping us.
inline constexpr std::uint32_t kDefaultIterations = 16384;
inline constexpr std::uint32_t kMinIterations = 4096;
inline constexpr std::uint32_t kMaxIterations = 1'000'000;

using Salt = std::array<std::byte, 16>;

/// RFC 5802 section 3: enough to check a password and to speak SCRAM, not enough to log in anywhere.
struct ScramVerifier {
  Salt salt{};
  std::uint32_t iterations = kDefaultIterations;
  digest::Digest32 stored_key{};
  digest::Digest32 server_key{};
  bool operator==(const ScramVerifier&) const = default;
};

/// In front of the HMAC-MD5 state of a password (digest::hmac_md5_state_hex()) where a crypt(3) string would stand, as
/// Dovecot writes it. No crypt(3) string begins with a brace.
inline constexpr std::string_view kCramMd5Scheme = "{CRAM-MD5}";

/// Longest crypt(3) string that a record holds; the longest known schemes need some 130.
inline constexpr std::size_t kMaxCryptOctets = 255;

struct Account {
  std::optional<ScramVerifier> scram;  ///< none: an imported record that knows a crypt(3) string only
  std::string sealed_apop;             ///< empty: no APOP; else digest::kSealedOctets octets
  std::string crypt;  ///< empty, a crypt(3) string, or kCramMd5Scheme and digits; a clear login inside TLS replaces it
                      ///< by `scram`
  bool disabled = false;
  std::int64_t created = 0;  ///< seconds since the epoch
  std::int64_t changed = 0;
};

/// One for each database file, made by initialise().
struct Meta {
  digest::PublicKey public_key{};  ///< seals APOP secrets
  digest::Digest32 server_key{};   ///< random; makes the salts shown for unknown names stable
  std::uint32_t iterations = kDefaultIterations;
  std::int64_t created = 0;
  /// A crypt(3) string that no password is known for, of the scheme that was imported last; empty: none was. What an
  /// account without crypt string, and an unknown name, are checked against, so that the work is the same.
  std::string dummy_crypt{};
};

/// Of the password as prepare_password() makes it; give it what the user typed.
[[nodiscard]] ScramVerifier make_scram(const base::Secret& password, std::uint32_t iterations);

/// Costs one PBKDF2 of `verifier.iterations`, whatever the answer; compares in constant time. `password` as sent.
[[nodiscard]] bool matches(const ScramVerifier& verifier, const base::Secret& password);

/// The verifier of a name that has no account: always the same for a name, matches no password.
[[nodiscard]] ScramVerifier dummy_scram(const Meta& meta, std::string_view name);

/// Seals `password` for `name` into an account record.
/// Errors  those of digest::seal().
[[nodiscard]] base::Result<std::string> seal_apop(const Meta& meta, std::string_view name,
                                                  const base::Secret& password);

/// Errors  those of digest::Opener::open(); denied when the value was moved from another account.
[[nodiscard]] base::Result<base::Secret> open_apop(const digest::Opener& opener, std::string_view name, std::string_view sealed);

}  // namespace qpop::authdb
