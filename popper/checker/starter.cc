// SPDX-License-Identifier: MIT
// Forks a checker for each login of a system account.
//
// Why a process of its own: the modules of PAM are loaded and linked here once, in milliseconds that each checker saves. The monitor must not do
// that, because a module's code runs when it is loaded, and because all other processes are forked from the monitor.
// Runs as: root, or the user who started the server; as long as the monitor wants it.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <map>

#include "common/base/clock.h"
#include "common/ipc/log_sink.h"
#include "common/log/log.h"
#include "common/priv/drop.h"
#include "popper/checker/checker.h"
#include "popper/checker/pam_library.h"

namespace qpop::checker {

namespace {

using base::Error;
using base::ErrorKind;

// The authenticator wants eight at a time; some that have answered are not gone yet.
constexpr std::size_t kMostAtOnce = 16;

/// There to wake up ppoll(2).
void on_child_end(int) {}

int no_conversation(int, const pam_message**, pam_response**, void*) { return PAM_CONV_ERR; }

/// A handle that is never used or ended: as long as it stands, the modules of the service stay loaded. Each checker reads the service's file
/// anew.
void load_modules() {
  static const pam_conv conversation{no_conversation, nullptr};
  static pam_handle_t* handle = nullptr;
  const auto pam = pam_library();
  if (!pam) return log::error("PAM: {}", pam.error().message());  // each login says so too
  (void)(*pam)->start(kPamService, nullptr, &conversation, &handle);
}

bool is_end(const ipc::Frame& frame) {
  ipc::EndSession message;
  return frame.read(message);
}

class Starter {
 public:
  explicit Starter(StarterStart start) : start_(std::move(start)) {}
  int run();

 private:
  base::Status prepare();
  void fork_checker(ipc::Frame& frame, const ipc::StartChecker& message);
  void reap();
  [[nodiscard]] int wait_ms();
  [[nodiscard]] bool wait();

  StarterStart start_;
  base::SystemClock clock_;
  std::map<pid_t, std::int64_t> running_;  ///< until when
  bool wanted_ = true;
};

base::Status Starter::prepare() {
  const std::array<int, 1> keep{start_.monitor.fd()};
  priv::close_all_except(keep);
  if (auto done = priv::close_standard_streams(); !done) return done;
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) return Error::from_errno(errno, "setrlimit core");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Error::from_errno(errno, "prctl dumpable");
  struct sigaction action {};
  action.sa_handler = on_child_end;
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  if (::sigaction(SIGCHLD, &action, nullptr) != 0 || ::sigprocmask(SIG_BLOCK, &child, nullptr) != 0) return Error::from_errno(errno, "sigaction");
  ipc::log_to(start_.monitor);
  if (std::ranges::find(start_.backends, Backend::pam) != start_.backends.end()) load_modules();
  return {};
}

void Starter::fork_checker(ipc::Frame& frame, const ipc::StartChecker& message) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return log::error("fork of a process that asks the system about a login: errno {}", errno);
  if (pid > 0) {
    running_[pid] = clock_.monotonic_ms() + std::int64_t{kMostSeconds} * 1000;
    return;
  }
  // The monitor ends this process, and with it all that it has started.
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(3);
  (void)::signal(SIGCHLD, SIG_DFL);  // modules wait for helpers of theirs
  // Its channel is closed soon, and the number may become one of a module's descriptors.
  log::redirect([](log::Severity, std::string_view) {});
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  priv::set_process_name("popper-check");
  int code = 4;
  try {
    code = run_checker({ipc::Channel{std::move(frame.descriptors[0])}, start_.backends, std::string{message.client.view()}, start_.honour_password_age});
  } catch (const std::exception& error) {
    log::error("popper-check: {}", error.what());
  }
  ::_exit(code);
}

void Starter::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    // The authenticator sees the end of its channel.
    if (WIFSIGNALED(status)) log::error("process {} that asked the system about a login ended: killed by signal {}", pid, WTERMSIG(status));
    running_.erase(pid);
  }
  // A module that hangs holds one process, not a place for ever.
  const auto now = clock_.monotonic_ms();
  for (const auto& [pid, until] : running_) {
    if (now >= until) ::kill(pid, SIGKILL);
  }
}

int Starter::wait_ms() {
  if (running_.empty()) return -1;
  const auto first = std::ranges::min_element(running_, {}, [](const auto& entry) { return entry.second; })->second;
  return static_cast<int>(std::clamp<std::int64_t>(first - clock_.monotonic_ms(), 100, 60'000));
}

/// True: the monitor has something to say. Whom it wants beyond kMostAtOnce waits in the channel.
bool Starter::wait() {
  const bool listens = wanted_ && running_.size() < kMostAtOnce;
  pollfd end{start_.monitor.fd(), POLLIN, 0};
  const int milliseconds = wait_ms();
  const timespec timeout{milliseconds / 1000, milliseconds % 1000 * 1'000'000L};
  sigset_t none;
  sigemptyset(&none);
  return ::ppoll(listens ? &end : nullptr, listens ? 1 : 0, milliseconds < 0 ? nullptr : &timeout, &none) > 0;
}

int Starter::run() {
  if (!prepare()) return 3;
  while (wanted_ || !running_.empty()) {
    const bool spoken = wait();
    reap();
    if (!spoken) continue;
    auto frame = start_.monitor.receive(0);
    ipc::StartChecker message;
    if (frame && frame->read(message) && frame->descriptors.size() == 1) {
      fork_checker(*frame, message);
    } else if (!frame ? frame.error().kind() == ErrorKind::closed : is_end(*frame)) {
      wanted_ = false;  // another one does this from now on, or nobody
    } else if (frame || frame.error().kind() != ErrorKind::busy) {
      return 3;
    }
  }
  return 0;
}

}  // namespace

int run_checker_starter(StarterStart start) { return Starter{std::move(start)}.run(); }

}  // namespace qpop::checker
