// SPDX-License-Identifier: MIT
// Buffered input and output of one client.
// Runs as: popnet, without any right.
#include "popper/session/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/base/secret.h"

namespace qpop::session {

namespace {
constexpr std::size_t kInput = 4096;
constexpr std::size_t kOutput = 256UL * 1024;
}  // namespace

Client::Client(base::UniqueFd socket, int wake_fd, std::int64_t write_timeout_ms, base::Clock& clock)
    : socket_(std::move(socket)), wake_fd_(wake_fd), write_timeout_ms_(write_timeout_ms), clock_(clock), input_(kInput) {}

bool Client::has_line_waiting() const {
  return std::memchr(input_.data() + input_begin_, '\n', input_end_ - input_begin_) != nullptr;
}

Client::Event Client::wait(std::int64_t deadline_ms) {
  for (;;) {
    const std::int64_t left = deadline_ms - clock_.monotonic_ms();
    if (left <= 0) return Event::timeout;
    std::array<pollfd, 2> watched{pollfd{socket_.get(), POLLIN, 0}, pollfd{wake_fd_, POLLIN, 0}};
    const int count = ::poll(watched.data(), watched.size(), static_cast<int>(std::min<std::int64_t>(left, 1'000'000)));
    if (count < 0 && errno != EINTR) return Event::closed;
    if (count <= 0) continue;
    if (watched[1].revents != 0) return Event::monitor;
    if (watched[0].revents != 0) return Event::line;
  }
}

Client::Event Client::next(std::int64_t deadline_ms) {
  for (;;) {
    if (failed_) return stalled_ ? Event::timeout : Event::closed;
    if (input_begin_ < input_end_) {
      if (!has_line_waiting() && !flush()) continue;
      const auto [event, consumed] = reader_.feed({input_.data() + input_begin_, input_end_ - input_begin_});
      base::wipe(input_.data() + input_begin_, consumed);
      input_begin_ += consumed;
      if (event == pop3::LineReader::Event::line) return Event::line;
      if (event == pop3::LineReader::Event::too_long) return Event::too_long;
      if (event == pop3::LineReader::Event::hopeless) return Event::hopeless;
      continue;
    }
    if (!flush()) continue;
    if (const Event event = wait(deadline_ms); event != Event::line) return event;
    const ssize_t got = ::read(socket_.get(), input_.data(), input_.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return Event::closed;
    input_begin_ = 0;
    input_end_ = static_cast<std::size_t>(got);
  }
}

void Client::wipe_line() { reader_.wipe(); }

char* Client::reserve(std::size_t size) {
  if (used_ + size > kOutput) flush();
  if (output_.size() < used_ + size) output_.resize(std::max(used_ + size, std::min(kOutput, 2 * output_.size())));
  return output_.data() + used_;
}

void Client::put(std::string_view text) {
  std::memcpy(reserve(text.size()), text.data(), text.size());
  used_ += text.size();
}

bool Client::flush() {
  std::size_t sent = 0;
  while (sent < used_ && !failed_) {
    const ssize_t count = ::sendto(socket_.get(), output_.data() + sent, used_ - sent, MSG_NOSIGNAL | MSG_DONTWAIT, nullptr, 0);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) {
      failed_ = true;
      break;
    }
    pollfd watched{socket_.get(), POLLOUT, 0};
    if (::poll(&watched, 1, static_cast<int>(write_timeout_ms_)) == 0) failed_ = stalled_ = true;
  }
  used_ = 0;
  return !failed_;
}

void Client::shut() {
  flush();
  ::shutdown(socket_.get(), SHUT_WR);
}

}  // namespace qpop::session
