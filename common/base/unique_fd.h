// SPDX-License-Identifier: MIT
// Owner of one file descriptor.
#pragma once

#include <unistd.h>

#include <utility>

namespace qpop::base {

/// Closes in the destructor, for error paths; where success is decided by close(), call close_checked().
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  /// 0 or the errno of close(); the descriptor is gone either way.
  [[nodiscard]] int close_checked();

 private:
  int fd_ = -1;
};

}  // namespace qpop::base
