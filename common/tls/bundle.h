// SPDX-License-Identifier: MIT
// Certificates and keys out of a file of any form that a certification authority, a tool or a person may hand over.
//
// PEM in any order with any text around it, DER, PKCS#7 (PEM or DER), PKCS#12. What is odd about the form is kept, because a program that is
// less patient than this one will meet it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/tls/certificate.h"

namespace qpop::tls {

enum class Form : std::uint8_t { pem, der, pkcs7, pkcs12 };

struct Bundle {
  Form form = Form::pem;
  std::vector<Certificate> certificates;  ///< in the order of the file
  std::vector<KeyHandle> keys;
  std::size_t encrypted_keys = 0;   ///< that could not be opened
  std::size_t damaged_blocks = 0;   ///< PEM blocks that hold no such object
  bool byte_order_mark = false;
  bool windows_line_ends = false;
};

/// Asked for the pass phrase of an encrypted key or a PKCS#12 file; empty: none.
using PassPhrase = std::function<std::string()>;

/// Octets of the largest file that is read: a thousand certificates.
inline constexpr std::size_t kMostBundleOctets = 4UL * 1024 * 1024;

/// Never fails for odd contents: a bundle without anything in it says that nothing was found.
/// Errors  denied: PKCS#12 with another pass phrase. malformed: longer than kMostBundleOctets.
[[nodiscard]] base::Result<Bundle> read_bundle(std::string_view octets, const PassPhrase& pass_phrase = {});

}  // namespace qpop::tls
