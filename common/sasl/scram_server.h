// SPDX-License-Identifier: MIT
// The half of SCRAM that holds nonce, salt and keys: one exchange, one proof.
//
// Source: RFC 5802 sections 3 and 5, RFC 7677.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/digest/digest.h"

namespace qpop::sasl {

struct ScramSecret {
  std::string salt;  ///< raw octets
  std::uint32_t iterations = 0;
  digest::Digest32 stored_key{};
  digest::Digest32 server_key{};
};

class ScramServer {
 public:
  /// `first_bare` is hashed as it is; `client_nonce` is part of it. A fresh nonce of 144 random bits is made.
  ScramServer(ScramSecret secret, std::string_view first_bare, std::string_view client_nonce);

  /// For the client, as text: r=...,s=...,i=...
  [[nodiscard]] const std::string& first() const { return first_; }

  /// Checks nonce and proof; the exchange is over then, whatever the result: a second call is always refused.
  /// Result  the text v=... that proves to the client that we know its key.
  /// Errors  denied: wrong nonce or proof, or not the first call.
  [[nodiscard]] base::Result<std::string> finish(std::string_view without_proof, std::string_view nonce, const digest::Digest32& proof);

 private:
  ScramSecret secret_;
  std::string bare_;
  std::string nonce_;
  std::string first_;
  bool finished_ = false;
};

}  // namespace qpop::sasl
