// SPDX-License-Identifier: MIT
// Key and chain from the octets of their files, if they can be served.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/tls/certificate.h"
#include "common/tls/judge.h"

namespace qpop::signer {

inline constexpr int kWarnDays = 21;

struct Pair {
  std::vector<tls::Certificate> chain;  ///< as it stands in the file
  std::shared_ptr<EVP_PKEY> key;
};

/// `own_key_file`: the key does not lie in the certificate file. Errors  malformed: cannot be served; the detail says why and what to do.
[[nodiscard]] base::Result<Pair> read_pair(std::string_view certificate_file, std::string_view key_file, bool own_key_file, std::int64_t now);

/// Errors  malformed: no certificate in it.
[[nodiscard]] base::Result<std::vector<tls::Certificate>> read_authorities(std::string_view file);

/// "for mail.example.org, ECDSA P-256, valid until 2027-01-31 10:00:00 UTC (67 days)".
[[nodiscard]] std::string describe(const Pair& pair, std::int64_t now);

/// What is worth a warning each day, though the pair is served; empty when nothing is.
[[nodiscard]] std::string daily_warning(const Pair& pair, std::int64_t now);

}  // namespace qpop::signer
