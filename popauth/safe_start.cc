// SPDX-License-Identifier: MIT
// First statements of a set-uid program. Runs as: pop (set-uid), root, or the owner of a private database.
#include "popauth/safe_start.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>

#include "popauth/exit_code.h"

namespace qpop::popauth {

namespace {

using base::Error;
using base::ErrorKind;

void open_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1) continue;
    // The lowest free number is `fd` itself, because all below are open.
    if (::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd) ::_exit(static_cast<int>(ExitCode::unsafe));
  }
}

void close_other_descriptors() {
  if (::close_range(3, ~0U, 0) == 0) return;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const int end = limit.rlim_max > 65536 ? 65536 : static_cast<int>(limit.rlim_max);
  for (int fd = 3; fd < end; ++fd) ::close(fd);
}

void set_signal(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  ::sigaction(number, &action, nullptr);
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) set_signal(number, SIG_DFL);
  // A limit on file sizes must be an error, not a death in the middle of a write; a stopped process must not hold the
  // write lock.
  for (const int number : {SIGXFSZ, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE}) set_signal(number, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const itimerval off{};
  for (const auto timer : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) ::setitimer(timer, &off, nullptr);
}

extern "C" void on_alarm(int) {
  constexpr char kText[] =
      "popauth: gave up after 10 s: POP authentication DB locked, or disk too slow; see popauth -list\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kText, sizeof kText - 1);
  ::_exit(static_cast<int>(ExitCode::timed_out));
}

constexpr unsigned kSeconds = 10;
constexpr time_t kGuessSeconds = 1;
constexpr std::array kKeyboard{SIGINT, SIGQUIT, SIGHUP, SIGTERM};

struct Need {
  decltype(RLIMIT_FSIZE) resource;
  const char* name;
  rlim_t least;
};

constexpr rlim_t kMiB = 1U << 20U;
// File: room for a database of 100 000 accounts. Address space: the program, its libraries and the map. CPU: hashing
// takes 0.1 s.
constexpr std::array kNeeds{
    Need{RLIMIT_FSIZE, "file size", 128 * kMiB},  Need{RLIMIT_NOFILE, "open files", 16},
    Need{RLIMIT_AS, "address space", 256 * kMiB}, Need{RLIMIT_DATA, "data size", 64 * kMiB},
    Need{RLIMIT_STACK, "stack size", kMiB / 2},   Need{RLIMIT_CPU, "CPU time", 5},
};

}  // namespace

void make_start_safe() {
  open_standard_descriptors();
  close_other_descriptors();
  ::umask(077);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  reset_signals();
  ::clearenv();
  ::setenv("PATH", "/usr/bin:/bin", 1);
  ::setenv("LC_ALL", "C", 1);
}

base::Status require_limits() {
  for (const auto& need : kNeeds) {
    rlimit limit{};
    if (::getrlimit(need.resource, &limit) != 0) return Error::from_errno(errno, "getrlimit");
    if (limit.rlim_cur >= need.least) continue;
    if (limit.rlim_max >= need.least) {
      limit.rlim_cur = limit.rlim_max;
      if (::setrlimit(need.resource, &limit) == 0) continue;
    }
    return Error{ErrorKind::limit, fmt::format("resource limit too low: {} ({}, needs {}); nothing changed", need.name,
                                               limit.rlim_cur, need.least)};
  }
  return {};
}

void wait_before_guess() {
  timespec until{};
  ::clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += kGuessSeconds;
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) continue;
}

TimeBound::TimeBound() {
  for (const int number : kKeyboard) set_signal(number, SIG_IGN);
  set_signal(SIGALRM, on_alarm);
  ::alarm(kSeconds);
}

TimeBound::~TimeBound() {
  ::alarm(0);
  set_signal(SIGALRM, SIG_DFL);
  for (const int number : kKeyboard) set_signal(number, SIG_DFL);
}

}  // namespace qpop::popauth
