// SPDX-License-Identifier: MIT
// The sliding window.
#include "common/check/bytes.h"

#include <algorithm>
#include <cstring>

namespace qpop::check {

base::Result<std::size_t> MemoryBytes::read(std::uint64_t offset, std::span<char> out) {
  if (offset >= bytes_.size()) return std::size_t{0};
  const auto piece = bytes_.substr(static_cast<std::size_t>(offset), out.size());
  std::ranges::copy(piece, out.begin());
  return piece.size();
}

Window::Window(Bytes& bytes, std::function<base::Status(std::string_view)> fresh)
    : bytes_(bytes),
      fresh_(std::move(fresh)),
      size_(bytes.size()),
      // A small spool needs no large buffer.
      buffer_(1 + static_cast<std::size_t>(std::min<std::uint64_t>(size_, kBehind + kAhead + kPiece)) + kPadding) {
  // What stands before the first octet: the end of a line.
  buffer_[0] = '\n';
}

base::Status Window::move_to(std::uint64_t at) {
  const std::size_t room = buffer_.size() - 1 - kPadding;
  while (end() < size_ && end() - at < kAhead) {
    const std::uint64_t keep = at - std::min<std::uint64_t>(at - base_, kBehind);
    if (held_ == room && keep > base_) {
      const auto shift = static_cast<std::size_t>(keep - base_);
      // The octet before the first goes along.
      std::memmove(buffer_.data(), buffer_.data() + shift, held_ - shift + 1);
      base_ += shift;
      held_ -= shift;
    }
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(room - held_, size_ - end()));
    auto got = bytes_.read(end(), {buffer_.data() + 1 + held_, want});
    if (!got) return got.error();
    if (*got != want) return base::Error{base::ErrorKind::changed, "the spool became shorter while it was read"};
    const std::string_view fresh{buffer_.data() + 1 + held_, want};
    held_ += want;
    if (auto taken = fresh_(fresh); !taken) return taken;
    std::memset(buffer_.data() + 1 + held_, 'x', kPadding);
  }
  return {};
}

std::string_view Window::view(std::uint64_t from, std::uint64_t to) const {
  from = std::max(from, base_);
  to = std::min(to, end());
  if (from >= to) return {};
  return {data(from), static_cast<std::size_t>(to - from)};
}

}  // namespace qpop::check
