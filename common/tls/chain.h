// SPDX-License-Identifier: MIT
// The order in which a server has to send its certificates: its own, then each one's issuer, without the root.
// Source: RFC 8446 section 4.4.2, RFC 5246 section 7.4.2.
#pragma once

#include <vector>

#include "common/base/result.h"
#include "common/tls/certificate.h"

namespace qpop::tls {

struct Chain {
  std::vector<Certificate> certificates;  ///< [0] is the server's
  std::vector<Certificate> roots;         ///< self-signed authorities that were left out
  std::vector<Certificate> others;        ///< that belong to another chain
};

/// Picks the certificate of `key` (the one that lasts longest, when there are several) and puts its issuers behind it.
/// A self-signed server certificate is its own chain. Errors  not_found: no certificate has this key.
[[nodiscard]] base::Result<Chain> arrange_chain(const std::vector<Certificate>& certificates, const EVP_PKEY& key);

}  // namespace qpop::tls
