// SPDX-License-Identifier: MIT
// Makes certificates and requests: self-signed, of a private authority, for a public one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/tls/certificate.h"

namespace qpop::tls {

/// What clients accept at most for a server (CA/Browser Forum, Apple).
inline constexpr int kServerDays = 398;
inline constexpr int kAuthorityDays = 3650;
/// Clocks of clients go wrong by more than a minute.
inline constexpr std::int64_t kBackdateSeconds = 3600;

struct ServerWish {
  std::vector<std::string> hosts;  ///< DNS names or addresses; the first is the common name
  std::int64_t now = 0;            ///< seconds since the epoch
  int days = kServerDays;
};

/// Is `host` an address or a host name that a certificate can hold? Letters, digits, hyphens and dots; a wildcard as its first label.
[[nodiscard]] bool is_acceptable_host(const std::string& host);

/// Errors of all: malformed: a host that is_acceptable_host() refuses, or none; io: of the library.
[[nodiscard]] base::Result<Certificate> self_signed(EVP_PKEY& key, const ServerWish& wish);
/// An authority for one server at least; signs nothing but servers and cannot pass that right on.
[[nodiscard]] base::Result<Certificate> make_authority(EVP_PKEY& key, const std::string& name, std::int64_t now, int days = kAuthorityDays);
[[nodiscard]] base::Result<Certificate> signed_by(const Certificate& authority, EVP_PKEY& authority_key, EVP_PKEY& key, const ServerWish& wish);
/// PKCS#10 in PEM.
[[nodiscard]] base::Result<std::string> make_request(EVP_PKEY& key, const std::vector<std::string>& hosts);

}  // namespace qpop::tls
