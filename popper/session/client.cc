// SPDX-License-Identifier: MIT
// Buffered input and output of one client.
// Runs as: popnet, without any right.
#include "popper/session/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cerrno>
#include <cstring>

#include "common/base/secret.h"

namespace qpop::session {

namespace {
constexpr std::size_t kInput = 4096;
constexpr std::size_t kOutput = 256UL * 1024;
using Steady = std::chrono::steady_clock;
}  // namespace

Client::Client(base::UniqueFd socket, int wake_fd, std::int64_t write_timeout_ms, base::Clock& clock)
    : socket_(std::move(socket)), wake_fd_(wake_fd), write_timeout_ms_(write_timeout_ms), clock_(clock), input_(kInput) {}

bool Client::has_line_waiting() const {
  return std::memchr(input_.data() + input_begin_, '\n', input_end_ - input_begin_) != nullptr;
}

Client::Event Client::wait(short events, std::int64_t deadline_ms) {
  for (;;) {
    const std::int64_t left = deadline_ms - clock_.monotonic_ms();
    if (left <= 0) return Event::timeout;
    std::array<pollfd, 2> watched{pollfd{socket_.get(), events, 0}, pollfd{wake_fd_, POLLIN, 0}};
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
    // TLS may hold octets that it has read already, so it is asked before anybody waits.
    std::size_t got = 0;
    const Got outcome = receive(input_, got);
    if (outcome == Got::gone) return Event::closed;
    if (outcome != Got::octets) {
      if (outcome == Got::want_read && while_waiting_ && quick_look_.is_quick()) while_waiting_();
      if (outcome == Got::want_read && quick_look_.finds([this] { return is_readable(); }, Steady::now)) continue;
      const auto start = Steady::now();
      const Event event = wait(outcome == Got::want_write ? POLLOUT : POLLIN, deadline_ms);
      quick_look_.slept(Steady::now() - start);
      if (event != Event::line) return event;
      continue;
    }
    input_begin_ = 0;
    input_end_ = got;
  }
}

namespace {

template <class Got>
Got to_got(tls::Connection::Outcome outcome) {
  switch (outcome) {
    case tls::Connection::Outcome::done:
      return Got::octets;
    case tls::Connection::Outcome::want_read:
      return Got::want_read;
    case tls::Connection::Outcome::want_write:
      return Got::want_write;
    case tls::Connection::Outcome::closed:
    case tls::Connection::Outcome::failed:
      return Got::gone;
  }
  return Got::gone;
}

}  // namespace

Client::Got Client::receive(std::span<char> out, std::size_t& got) {
  if (tls_) return to_got<Got>(tls_->read(out, got));
  for (;;) {
    const ssize_t count = ::read(socket_.get(), out.data(), out.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return Got::want_read;
    if (count <= 0) return Got::gone;
    got = static_cast<std::size_t>(count);
    return Got::octets;
  }
}

Client::Got Client::send(std::string_view octets, std::size_t& put) {
  if (tls_) return to_got<Got>(tls_->write(octets, put));
  for (;;) {
    const ssize_t count = ::sendto(socket_.get(), octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT, nullptr, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN ? Got::want_write : Got::gone;
    put = static_cast<std::size_t>(count);
    return Got::octets;
  }
}

bool Client::has_input() {
  return input_begin_ < input_end_ || (tls_ && tls_->has_input()) || is_readable();
}

bool Client::is_readable() const {
  pollfd watched{socket_.get(), POLLIN, 0};
  return ::poll(&watched, 1, 0) > 0;
}

Client::Event Client::secure(std::unique_ptr<tls::Connection> connection, std::int64_t deadline_ms) {
  tls_ = std::move(connection);
  reader_.wipe();
  for (;;) {
    const Got outcome = to_got<Got>(tls_->handshake());
    if (outcome == Got::octets) return Event::line;
    if (outcome == Got::gone) return Event::closed;
    const Event event = wait(outcome == Got::want_write ? POLLOUT : POLLIN, deadline_ms);
    if (event != Event::line) return event;
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
  while ((sent < used_ || (tls_ && tls_->waiting())) && !failed_) {
    std::size_t put = 0;
    const Got outcome = send({output_.data() + sent, used_ - sent}, put);
    sent += put;
    sent_octets_ += put;
    if (outcome == Got::octets) continue;
    if (outcome == Got::gone) {
      failed_ = true;
      break;
    }
    pollfd watched{socket_.get(), static_cast<short>(outcome == Got::want_write ? POLLOUT : POLLIN), 0};
    if (::poll(&watched, 1, static_cast<int>(write_timeout_ms_)) == 0) failed_ = stalled_ = true;
  }
  used_ = 0;
  return !failed_;
}

void Client::shut() {
  if (flush() && tls_) tls_->close_notify();
  ::shutdown(socket_.get(), SHUT_WR);
}

}  // namespace qpop::session
