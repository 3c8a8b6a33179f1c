// SPDX-License-Identifier: MIT
// Passwords that matched a short while ago.
// Runs as: pop, or the starting user.
#include "popper/authenticator/remembered.h"

#include <algorithm>
#include <array>

namespace qpop::authenticator {

RememberedPasswords::RememberedPasswords(base::Clock& clock) : clock_(clock) {
  std::array<std::byte, 32> octets{};
  digest::random_bytes(octets);
  key_.assign({reinterpret_cast<const char*>(octets.data()), octets.size()});
  base::wipe(octets);
}

digest::Digest32 RememberedPasswords::digest_of(std::string_view user, std::string_view record, const base::Secret& password) const {
  // Of fixed lengths, and the password apart, so that no two triples are one text and no copy of a password is made.
  const auto inner = digest::hmac_sha256(key_.view(), password.view());
  const std::array<std::string_view, 2> names{user, record};
  std::string text{digest::view_of(inner)};
  for (const auto part : names) text += digest::view_of(digest::sha256(std::span{&part, 1}));
  return digest::hmac_sha256(key_.view(), text);
}

bool RememberedPasswords::match(std::string_view user, std::string_view record, const base::Secret& password) const {
  const auto found = kept_.find(user);
  const Entry entry = found == kept_.end() ? Entry{} : found->second;
  const bool same = base::equal_constant_time(digest::view_of(entry.digest), digest::view_of(digest_of(user, record, password)));
  return same && clock_.monotonic_ms() < entry.until_ms;
}

void RememberedPasswords::remember(std::string_view user, std::string_view record, const base::Secret& password) {
  const auto now = clock_.monotonic_ms();
  if (kept_.size() >= kMost) std::erase_if(kept_, [now](const auto& item) { return item.second.until_ms <= now; });
  if (kept_.size() >= kMost) kept_.erase(std::ranges::min_element(kept_, {}, [](const auto& item) { return item.second.until_ms; }));
  kept_.insert_or_assign(std::string{user}, Entry{digest_of(user, record, password), now + kKeptMs});
}

}  // namespace qpop::authenticator
