// SPDX-License-Identifier: MIT
// One end of a SOCK_SEQPACKET pair between two of our processes: whole, versioned, length-checked messages with descriptors.
//
// Everything received is treated as hostile: type, version and exact size are checked here, field contents by the receiver.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace qpop::ipc {

/// Longest message; small enough that a full socket buffer holds many.
inline constexpr std::size_t kMaxMessage = 1152;
inline constexpr std::size_t kMaxDescriptors = 4;
inline constexpr std::uint32_t kProtocol = 0x51500001;  // "QP", version 1

struct MessageHeader {
  std::uint32_t protocol = kProtocol;
  std::uint16_t type = 0;
  std::uint16_t size = 0;  ///< octets of the payload behind this header
};

/// Text with its length, at most N octets; a length beyond N never leaves view().
template <std::size_t N>
struct FixedText {
  static constexpr std::size_t kMost = N;
  std::uint16_t size = 0;
  std::array<char, N> bytes{};

  /// Cuts what does not fit.
  void set(std::string_view text) {
    size = static_cast<std::uint16_t>(std::min(text.size(), N));
    std::memcpy(bytes.data(), text.data(), size);
  }
  [[nodiscard]] std::string_view view() const { return {bytes.data(), std::min<std::size_t>(size, N)}; }
};

/// A received message; descriptors are owned and close with it.
struct Frame {
  std::uint16_t type = 0;
  std::uint16_t size = 0;
  std::array<std::byte, kMaxMessage> payload{};
  std::vector<base::UniqueFd> descriptors;

  /// The payload as a T; empty when the type or the size is another one.
  template <class T>
  [[nodiscard]] bool read(T& out) const {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kMaxMessage);
    if (type != static_cast<std::uint16_t>(T::kType) || size != sizeof(T)) return false;
    std::memcpy(&out, payload.data(), sizeof(T));
    return true;
  }
  ~Frame();
  Frame() = default;
  Frame(Frame&&) = default;
  Frame& operator=(Frame&&) = default;
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
};

class Channel {
 public:
  Channel() = default;
  explicit Channel(base::UniqueFd fd) : fd_(std::move(fd)) {}

  /// A connected pair, close-on-exec. Errors: io.
  static base::Result<std::pair<Channel, Channel>> pair();

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool valid() const { return fd_.valid(); }
  [[nodiscard]] base::UniqueFd take() { return std::move(fd_); }
  void close() { fd_.reset(); }

  /// Errors: busy when `wait` is false and the buffer is full; io when the other end is gone.
  template <class T>
  base::Status send(const T& message, std::span<const int> descriptors = {}, bool wait = true) const {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kMaxMessage);
    return send_raw(static_cast<std::uint16_t>(T::kType), std::as_bytes(std::span{&message, 1}), descriptors, wait);
  }

  /// Next message. `wait_ms` < 0 waits for ever, 0 does not wait.
  /// Errors: busy (nothing there in time), closed (the other end has gone), malformed (not one of our messages), io.
  [[nodiscard]] base::Result<Frame> receive(int wait_ms = -1) const;

 private:
  [[nodiscard]] base::Status send_raw(std::uint16_t type, std::span<const std::byte> payload, std::span<const int> descriptors,
                                      bool wait) const;
  base::UniqueFd fd_;
};

}  // namespace qpop::ipc
