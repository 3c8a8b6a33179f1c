// SPDX-License-Identifier: MIT
// What a process that talks TLS has to know about the server's certificates, as octets that one process hands to another: chains and numbers of
// keys, never a private key.
//
// Format   text lines "name value" up to an empty line (see encode()), then the certificates as PEM, in the order in which the lines count them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/tls/certificate.h"

namespace qpop::tls {

/// One certificate of the server, its issuers behind it, and the number under which its key can be asked for signatures.
struct Identity {
  std::uint32_t key = 0;
  std::vector<Certificate> chain;
};

struct Profile {
  std::vector<Identity> identities;             ///< in the order of preference
  std::vector<Certificate> client_authorities;  ///< clients with a certificate of these may log in with it; none: not asked for
  std::string ciphers;                          ///< of TLS 1.2, in OpenSSL's words; empty: kCiphers
  bool only_1_3 = false;                        ///< not even TLS 1.2
  bool only_1_2 = false;
};

/// Forward secrecy and authenticated encryption only.
inline constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

/// Octets of the largest profile that is read.
inline constexpr std::size_t kMostProfileOctets = 1024UL * 1024;

[[nodiscard]] std::string encode(const Profile& profile);
/// Errors  malformed.
[[nodiscard]] base::Result<Profile> decode(std::string_view octets);
/// The profile in a file that the signer has sealed, all of it. Where the descriptor stands does not matter and is not changed: others share it.
/// Errors  malformed: its size, or what is in it; io.
[[nodiscard]] base::Result<Profile> read_profile(int fd);

}  // namespace qpop::tls
