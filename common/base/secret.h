// SPDX-License-Identifier: MIT
// A short secret: no copy, wiped on destruction, compared in constant time, never printed.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace qpop::base {

/// Overwrites memory in a way the compiler cannot drop.
void wipe(std::span<std::byte> bytes);
void wipe(char* data, std::size_t size);

/// True when both hold the same bytes; time depends on the lengths only.
[[nodiscard]] bool equal_constant_time(std::string_view a, std::string_view b);

/// Up to 255 octets (the longest password accepted, see popauth(8)) kept inside the object, so that no copy of it is left on the heap.
class Secret {
 public:
  static constexpr std::size_t kMaxOctets = 255;

  Secret() = default;
  explicit Secret(std::string_view bytes) { assign(bytes); }
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { clear(); }

  /// False, and empty, when `bytes` is longer than kMaxOctets.
  bool assign(std::string_view bytes);
  void clear();
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  std::array<char, kMaxOctets> bytes_{};
  std::size_t size_ = 0;
};

}  // namespace qpop::base
