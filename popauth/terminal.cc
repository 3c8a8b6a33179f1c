// SPDX-License-Identifier: MIT
// Passwords from the terminal. Runs as: the caller, with the owner's uid saved.
#include "popauth/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Secret;
using base::UniqueFd;

namespace {

// Written by the handler, which does nothing else. The signals are blocked but for the wait in ppoll(), so that none
// can come between a look at this flag and the wait.
volatile std::sig_atomic_t g_signal = 0;

extern "C" void remember_signal(int number) {
  g_signal = number;
}

constexpr std::array kDeadly{SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGALRM, SIGUSR1, SIGUSR2};

/// Echo off, signals blocked and remembered; all as before in the destructor.
class Silence {
 public:
  explicit Silence(int fd) : fd_(fd) {
    sigset_t deadly;
    sigemptyset(&deadly);
    for (const int number : kDeadly) sigaddset(&deadly, number);
    ::sigprocmask(SIG_BLOCK, &deadly, &old_mask_);
    struct sigaction action {};
    action.sa_handler = remember_signal;
    sigemptyset(&action.sa_mask);
    g_signal = 0;
    for (std::size_t i = 0; i < kDeadly.size(); ++i) ::sigaction(kDeadly[i], &action, &old_actions_[i]);
    changed_ = ::tcgetattr(fd_, &old_) == 0;
    termios silent = old_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL);
    silent.c_lflag |= ICANON | ISIG;
    if (changed_) changed_ = ::tcsetattr(fd_, TCSAFLUSH, &silent) == 0;
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;
  ~Silence() {
    if (changed_) ::tcsetattr(fd_, TCSAFLUSH, &old_);
    for (std::size_t i = 0; i < kDeadly.size(); ++i) ::sigaction(kDeadly[i], &old_actions_[i], nullptr);
    ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
  }
  [[nodiscard]] bool works() const { return changed_; }
  /// True when there is something to read, false when a signal came.
  [[nodiscard]] bool wait() const {
    pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
    // Any failure but EINTR is left to the read that follows.
    while (g_signal == 0 && ::ppoll(&waiting, 1, nullptr, &old_mask_) < 0 && errno == EINTR) continue;
    return g_signal == 0;
  }

 private:
  int fd_;
  bool changed_ = false;
  termios old_{};
  sigset_t old_mask_{};
  std::array<struct sigaction, kDeadly.size()> old_actions_{};
};

/// The line as octets; one buffer, wiped. 256 octets tell "too long" from "just fits".
struct Line {
  std::array<char, Secret::kMaxOctets + 1> octets{};
  std::size_t size = 0;
  bool too_long = false;
  Line() = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line() { base::wipe(octets.data(), octets.size()); }
  void add(char c) {
    if (size < octets.size()) {
      octets[size++] = c;
    } else {
      too_long = true;
    }
  }
};

base::Status read_line(int fd, Line& line, const Silence* silence) {
  bool any = false;
  for (;;) {
    if (silence != nullptr && !silence->wait()) return Error{ErrorKind::busy, "interrupted"};
    char c = 0;
    const ssize_t got = ::read(fd, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "read");
    if (got == 0 && !any) return Error{ErrorKind::busy, "end of input"};
    if (got == 0 || c == '\n') return {};
    any = true;
    line.add(c);
  }
}

Result<Secret> to_secret(const Line& line) {
  const std::string_view text{line.octets.data(), line.size};
  if (line.too_long || text.size() > Secret::kMaxOctets)
    return Error{ErrorKind::limit, "password longer than 255 octets"};
  if (text.find_first_of(std::string_view{"\0\r", 2}) != std::string_view::npos) {
    return Error{ErrorKind::malformed, "password holds NUL or CR, which no POP3 command can carry"};
  }
  return Secret{text};
}

void write_text(int fd, std::string_view text) {
  [[maybe_unused]] const auto written = ::write(fd, text.data(), text.size());
}

}  // namespace

Result<Terminal> Terminal::open() {
  UniqueFd tty{::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)};
  const bool use_tty = tty.valid();
  if (!use_tty && ::isatty(STDIN_FILENO) == 0) {
    return Error{ErrorKind::not_found, "no terminal to ask for the password; use -stdin"};
  }
  const int in = use_tty ? tty.get() : STDIN_FILENO;
  // SIGTTOU is ignored, so that a caller cannot stop us; in the background we would switch off the echo of somebody
  // else.
  if (const pid_t front = ::tcgetpgrp(in); use_tty && front != -1 && front != ::getpgrp()) {
    return Error{ErrorKind::denied, "not in the foreground of the terminal"};
  }
  return Terminal{std::move(tty), in, use_tty ? in : STDERR_FILENO};
}

Result<Secret> Terminal::ask(std::string_view prompt) {
  Line line;
  int signal = 0;
  base::Status ok;
  {
    const Silence silence{in_};
    if (!silence.works()) return Error{ErrorKind::io, "cannot switch off the echo of the terminal"};
    write_text(out_, prompt);
    ok = read_line(in_, line, &silence);
    write_text(out_, "\n");
    signal = g_signal;
  }
  if (signal != 0) ::raise(signal);
  if (!ok) return ok.error();
  return to_secret(line);
}

Result<Secret> read_secret_line(int fd) {
  Line line;
  if (auto ok = read_line(fd, line, nullptr); !ok) return ok.error();
  return to_secret(line);
}

}  // namespace qpop::popauth
