// SPDX-License-Identifier: MIT
// The octets of an open file for the readings of common/check.
#pragma once

#include "common/check/bytes.h"
#include "common/files/io.h"

namespace qpop::spool {

/// Not owning. The size is that of the beginning: mail that comes meanwhile is not looked at.
class SpoolBytes final : public check::Bytes {
 public:
  SpoolBytes(files::FileSystem& fs, int fd, std::uint64_t size) : fs_(fs), fd_(fd), size_(size) {}
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] base::Result<std::size_t> read(std::uint64_t offset, std::span<char> out) override {
    if (offset >= size_) return std::size_t{0};
    return files::read_up_to(fs_, fd_, out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - offset))), offset);
  }

 private:
  files::FileSystem& fs_;
  int fd_;
  std::uint64_t size_;
};

}  // namespace qpop::spool
