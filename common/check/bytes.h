// SPDX-License-Identifier: MIT
// Where the bytes of a spool come from: a file, or a file with changes that are only planned. And a window that slides over them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace qpop::check {

class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  virtual ~Bytes() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// Fewer octets than asked for only at the end.
  [[nodiscard]] virtual base::Result<std::size_t> read(std::uint64_t offset, std::span<char> out) = 0;
};

/// Bytes that are in memory already; not owning.
class MemoryBytes final : public Bytes {
 public:
  explicit MemoryBytes(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }
  [[nodiscard]] base::Result<std::size_t> read(std::uint64_t offset, std::span<char> out) override;

 private:
  std::string_view bytes_;
};

/// The octets around a place that only moves on: kBehind before it and kAhead behind it are in memory.
class Window {
 public:
  static constexpr std::size_t kBehind = 4096;
  static constexpr std::size_t kAhead = 64UL * 1024;
  static constexpr std::size_t kPiece = 512UL * 1024;
  /// Readable behind the last octet, so that a vector may look past it.
  static constexpr std::size_t kPadding = 96;

  /// `fresh` gets every octet once, in order, before anybody looks at it.
  Window(Bytes& bytes, std::function<base::Status(std::string_view)> fresh);

  /// Slides on so that the octets around `at` are there. `at` never goes back by more than kBehind.
  [[nodiscard]] base::Status move_to(std::uint64_t at);
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// End of what is in memory.
  [[nodiscard]] std::uint64_t end() const { return base_ + held_; }
  [[nodiscard]] std::uint64_t begin() const { return base_; }
  /// Octets [from, to), as far as they are in memory.
  [[nodiscard]] std::string_view view(std::uint64_t from, std::uint64_t to) const;
  /// The octet at `at`, with one readable before it and kPadding behind end().
  [[nodiscard]] const char* data(std::uint64_t at) const { return buffer_.data() + 1 + (at - base_); }

 private:
  Bytes& bytes_;
  std::function<base::Status(std::string_view)> fresh_;
  std::uint64_t size_;
  std::uint64_t base_ = 0;
  std::size_t held_ = 0;
  std::vector<char> buffer_;
};

}  // namespace qpop::check
