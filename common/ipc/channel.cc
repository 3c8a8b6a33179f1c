// SPDX-License-Identifier: MIT
// Sending and receiving of messages with descriptors.
#include "common/ipc/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>

#include "common/base/secret.h"

namespace qpop::ipc {

namespace {

using base::Error;
using base::ErrorKind;

constexpr std::size_t kControlSize = CMSG_SPACE(kMaxDescriptors * sizeof(int));

void take_descriptors(msghdr& message, std::vector<base::UniqueFd>& out) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(at) + i * sizeof(int), sizeof fd);
      out.emplace_back(fd);
    }
  }
}

}  // namespace

// Messages carry passwords: nothing of them stays on the stack or heap.
Frame::~Frame() { base::wipe(payload); }

base::Result<std::pair<Channel, Channel>> Channel::pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return Error::from_errno(errno, "socketpair");
  return std::pair{Channel{base::UniqueFd{ends[0]}}, Channel{base::UniqueFd{ends[1]}}};
}

base::Status Channel::send_raw(std::uint16_t type, std::span<const std::byte> payload, std::span<const int> descriptors,
                               bool wait) const {
  MessageHeader header;
  header.type = type;
  header.size = static_cast<std::uint16_t>(payload.size());
  std::array<iovec, 2> parts{iovec{&header, sizeof header},
                             iovec{const_cast<std::byte*>(payload.data()), payload.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  alignas(cmsghdr) std::array<char, kControlSize> control{};
  if (!descriptors.empty()) {
    if (descriptors.size() > kMaxDescriptors) return Error{ErrorKind::limit, "too many descriptors for one message"};
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    if (::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)) >= 0) return {};
    if (errno != EINTR) return Error::from_errno(errno, "sendmsg");
  }
}

base::Result<Frame> Channel::receive(int wait_ms) const {
  if (wait_ms > 0) {
    pollfd ready{fd_.get(), POLLIN, 0};
    int count = 0;
    while ((count = ::poll(&ready, 1, wait_ms)) < 0 && errno == EINTR) {
    }
    if (count == 0) return Error{ErrorKind::busy, "no message in time"};
  }
  MessageHeader header;
  Frame frame;
  std::array<iovec, 2> parts{iovec{&header, sizeof header}, iovec{frame.payload.data(), frame.payload.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  alignas(cmsghdr) std::array<char, kControlSize> control{};
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = 0;
  const int flags = MSG_CMSG_CLOEXEC | (wait_ms == 0 ? MSG_DONTWAIT : 0);
  while ((got = ::recvmsg(fd_.get(), &message, flags)) < 0 && errno == EINTR) {
  }
  if (got < 0 && errno == EAGAIN) return Error{ErrorKind::busy, "no message in time"};
  if (got < 0) return Error::from_errno(errno, "recvmsg");
  take_descriptors(message, frame.descriptors);
  if (got == 0) return Error{ErrorKind::closed, "the other process closed its channel"};
  const bool truncated = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  if (truncated || static_cast<std::size_t>(got) < sizeof header || header.protocol != kProtocol ||
      static_cast<std::size_t>(got) != sizeof header + header.size) {
    return Error{ErrorKind::malformed, "message with a wrong protocol number or length"};
  }
  frame.type = header.type;
  frame.size = header.size;
  return frame;
}

}  // namespace qpop::ipc
