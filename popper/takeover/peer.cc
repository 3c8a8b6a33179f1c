// SPDX-License-Identifier: MIT
// A small POP3 client.
// Runs as: the owner of the mail.
#include "popper/takeover/peer.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "common/base/text.h"
#include "common/base/unique_fd.h"

namespace qpop::takeover {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;

constexpr std::size_t kMostAnswer = 1024UL * 1024 * 1024;
constexpr timeval kPatience{60, 0};

Result<base::UniqueFd> connect_to(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int failed = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list); failed != 0) return Error{ErrorKind::not_found, ::gai_strerror(failed)};
  const std::unique_ptr<addrinfo, decltype([](addrinfo* all) { ::freeaddrinfo(all); })> all{list};
  int failed = 0;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    base::UniqueFd fd{::socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, 0)};
    if (!fd.valid()) continue;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
    if (::connect(fd.get(), one->ai_addr, one->ai_addrlen) == 0) return fd;
    failed = errno;
  }
  return Error::from_errno(failed, "connect");
}

class Conversation {
 public:
  explicit Conversation(base::UniqueFd fd) : fd_(std::move(fd)) {}

  Result<std::string> line() {
    for (;;) {
      if (const auto end = buffer_.find('\n'); end != std::string::npos) {
        auto one = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        if (one.ends_with('\r')) one.pop_back();
        return one;
      }
      std::array<char, 65536> piece{};
      const ssize_t got = ::recv(fd_.get(), piece.data(), piece.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Error::from_errno(errno, "recv");
      if (got == 0) return Error{ErrorKind::io, "the server closed the connection"};
      buffer_.append(piece.data(), static_cast<std::size_t>(got));
      if ((total_ += static_cast<std::size_t>(got)) > kMostAnswer) return Error{ErrorKind::limit, "the answer is too long"};
    }
  }
  /// The first line of the answer, which must be +OK.
  Result<std::string> ask(const std::string& command) {
    const auto text = command + "\r\n";
    if (!command.empty() && ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) return Error::from_errno(errno, "send");
    auto answer = line();
    if (!answer || answer->starts_with("+OK")) return answer;
    return Error{ErrorKind::denied, fmt::format("the server says: {}", base::escape_untrusted(*answer))};
  }

 private:
  base::UniqueFd fd_;
  std::string buffer_;
  std::size_t total_ = 0;
};

}  // namespace

Result<std::string> ask_peer(std::string_view address, std::string_view user, std::string_view password) {
  const auto colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return Error{ErrorKind::malformed, "neither a file nor HOST:PORT"};
  auto host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  auto fd = connect_to(std::string{host}, std::string{address.substr(colon + 1)});
  if (!fd) return fd.error();
  Conversation server{std::move(*fd)};
  for (const auto& command : {std::string{}, fmt::format("USER {}", user), fmt::format("PASS {}", password), std::string{"UIDL"}}) {
    if (auto answer = server.ask(command); !answer) return answer;
  }
  std::string listing;
  for (;;) {
    auto line = server.line();
    if (!line) return line;
    if (*line == ".") break;
    listing += *line + "\n";
  }
  (void)server.ask("QUIT");
  return listing;
}

}  // namespace qpop::takeover
