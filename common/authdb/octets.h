// SPDX-License-Identifier: MIT
// Writing and reading the fields of a record: little-endian numbers, octets, a checksum at the end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "common/digest/digest.h"

namespace qpop::authdb {

class Encoder {
 public:
  template <class T>
  void number(T value) {
    for (std::size_t i = 0; i < sizeof value; ++i)
      out_ += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
  }
  void octets(std::string_view bytes) { out_ += bytes; }
  /// Appends the checksum, which covers the key as well: a value found under another name is damage.
  std::string finish(std::string_view key) && {
    number(digest::xxh3_64(out_, digest::xxh3_64(key)));
    return std::move(out_);
  }

 private:
  std::string out_;
};

/// Reads fields one after another; the caller has checked the total length, reading past the end gives zeros all the
/// same.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}
  template <class T>
  T number() {
    std::uint64_t value = 0;
    const auto field = take(sizeof(T));
    for (std::size_t i = 0; i < field.size(); ++i)
      value |= std::uint64_t{static_cast<unsigned char>(field[i])} << (8 * i);
    return static_cast<T>(value);
  }
  template <std::size_t N>
  void octets(std::array<std::byte, N>& out) {
    const auto field = take(N);
    std::memcpy(out.data(), field.data(), field.size());
  }
  std::string_view rest() const { return rest_; }
  std::string_view take(std::size_t size) {
    const auto field = rest_.substr(0, size);
    rest_.remove_prefix(field.size());
    return field;
  }

 private:
  std::string_view rest_;
};

inline constexpr std::size_t kChecksumOctets = 8;

/// True when `value` ends in the checksum of what is before it, under this key.
[[nodiscard]] inline bool has_right_checksum(std::string_view key, std::string_view value) {
  if (value.size() < kChecksumOctets) return false;
  const auto body = value.substr(0, value.size() - kChecksumOctets);
  Decoder checksum{value.substr(body.size())};
  return checksum.number<std::uint64_t>() == digest::xxh3_64(body, digest::xxh3_64(key));
}

}  // namespace qpop::authdb
