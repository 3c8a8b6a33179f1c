// SPDX-License-Identifier: MIT
// Wiping and constant-time comparison.
#include "common/base/secret.h"

#include <algorithm>
#include <cstring>

namespace qpop::base {

void wipe(char* data, std::size_t size) {
  if (size != 0) ::explicit_bzero(data, size);
}

void wipe(std::span<std::byte> bytes) {
  if (!bytes.empty()) ::explicit_bzero(bytes.data(), bytes.size());
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(difference | (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
  }
  return difference == 0;
}

Secret::Secret(Secret&& other) noexcept {
  assign(other.view());
  other.clear();
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    assign(other.view());
    other.clear();
  }
  return *this;
}

bool Secret::assign(std::string_view bytes) {
  clear();
  if (bytes.size() > kMaxOctets) return false;
  std::copy(bytes.begin(), bytes.end(), bytes_.begin());
  size_ = bytes.size();
  return true;
}

void Secret::clear() {
  wipe(bytes_.data(), bytes_.size());
  size_ = 0;
}

}  // namespace qpop::base
