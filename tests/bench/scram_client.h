// SPDX-License-Identifier: MIT
// The client's side of SCRAM-SHA-256 for load: the costly key is worked out once for each salt, as clients do that keep it (RFC 5802 section 5.1).
#pragma once

#include <array>
#include <map>
#include <string>

#include "tests/bench/pop3_connection.h"

namespace qpop::bench {

class ScramClient {
 public:
  explicit ScramClient(std::string password) : password_(std::move(password)) {}

  /// AUTH SCRAM-SHA-256 as `user`; ends the program when the server does not accept, or does not prove itself.
  void log_in(Connection& connection, const std::string& user);

 private:
  using Key = std::array<unsigned char, 32>;
  const Key& salted_password(const std::string& salt, int iterations);

  std::string password_;
  std::map<std::pair<std::string, int>, Key> keys_;
  unsigned long count_ = 0;
};

}  // namespace qpop::bench
