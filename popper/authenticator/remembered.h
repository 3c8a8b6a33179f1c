// SPDX-License-Identifier: MIT
// Clear passwords that matched a short while ago: a client that polls costs one HMAC then, not the thousands of its SCRAM verifier.
//
// Kept is an HMAC-SHA-256 of name, record and password under a key of this process, for a minute from the full check on. Any change of the
// record (another password, disabled, another secret) ends it. Wrong passwords are never remembered and always cost the full check.
// Runs as: pop, or the starting user.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/secret.h"
#include "common/digest/digest.h"

namespace qpop::authenticator {

class RememberedPasswords {
 public:
  static constexpr std::int64_t kKeptMs = 60'000;
  static constexpr std::size_t kMost = 4096;

  /// `clock` must outlive this.
  explicit RememberedPasswords(base::Clock& clock);

  /// The same work whether the name is known or not.
  [[nodiscard]] bool match(std::string_view user, std::string_view record, const base::Secret& password) const;
  /// `password` has just matched `record`.
  void remember(std::string_view user, std::string_view record, const base::Secret& password);
  [[nodiscard]] std::size_t size() const { return kept_.size(); }

 private:
  struct Entry {
    digest::Digest32 digest{};
    std::int64_t until_ms = 0;
  };
  [[nodiscard]] digest::Digest32 digest_of(std::string_view user, std::string_view record, const base::Secret& password) const;

  base::Clock& clock_;
  base::Secret key_;
  std::map<std::string, Entry, std::less<>> kept_;
};

}  // namespace qpop::authenticator
