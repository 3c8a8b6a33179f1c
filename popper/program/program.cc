// SPDX-License-Identifier: MIT
// Running a program.
// Runs as: the user, or session-user. no_new_privs is not set: a sendmail may be set-gid.
#include "popper/program/program.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "common/base/io.h"
#include "common/base/text.h"
#include "common/ipc/log_sink.h"
#include "common/ipc/messages.h"
#include "common/priv/drop.h"

namespace qpop::program {

namespace {

using base::Error;

constexpr int kPartMs = 3'600'000;  // the session has its own, shorter, limits
constexpr int kProgramMs = 120'000;
constexpr int kHookMs = 30'000;

base::Result<base::UniqueFd> receive_input(const ipc::Channel& session) {
  auto file = base::make_memory_file("message");
  if (!file) return file;
  std::uint64_t total = 0;
  for (;;) {
    auto frame = session.receive(kPartMs);
    if (!frame) return frame.error();
    ipc::SubmitPart part;
    ipc::SubmitEnd end;
    if (frame->read(end)) break;
    if (!frame->read(part) || part.size > part.bytes.size() || (total += part.size) > ipc::SubmitPart::kMostOctets) {
      return Error{base::ErrorKind::malformed, "message of a wrong form"};
    }
    if (auto written = base::write_whole(file->get(), {part.bytes.data(), part.size}); !written) return written.error();
  }
  if (::lseek(file->get(), 0, SEEK_SET) != 0) return Error::from_errno(errno, "lseek");
  return file;
}

/// In the child; never returns.
[[noreturn]] void execute(const std::vector<std::string>& words, const std::vector<std::string>& environment, int input) {
  constexpr int kNotStarted = 127;
  const auto pointers = [](const std::vector<std::string>& texts) {
    std::vector<char*> out;
    out.reserve(texts.size() + 1);
    for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));  // execve(2) changes nothing
    out.push_back(nullptr);
    return out;
  };
  for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGPIPE, SIGCHLD}) (void)::signal(number, SIG_DFL);
  if (input >= 0 && ::dup2(input, STDIN_FILENO) < 0) ::_exit(kNotStarted);
  priv::close_all_except({});
  ::execve(words.front().c_str(), pointers(words).data(), pointers(environment).data());
  ::_exit(kNotStarted);
}

/// Exit code of the program; -1 when it was killed, by us when it took too long.
int wait_for(pid_t pid, int most_ms) {
  const base::UniqueFd handle{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  pollfd waiting{handle.get(), POLLIN, 0};
  // Its group: what it has started goes with it.
  if (!handle.valid() || ::poll(&waiting, 1, most_ms) <= 0) ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

std::vector<std::string> split_command(const std::string& command) {
  const auto parts = base::words(command);
  std::vector<std::string> words{parts.begin(), parts.end()};
  if (words.empty() || !words.front().starts_with('/')) return {};
  return words;
}

int run_program(Start start) {
  ipc::log_to(start.monitor);
  const std::array<int, 2> keep{start.monitor.fd(), start.session.fd()};
  priv::close_all_except(keep);
  auto ready = priv::close_standard_streams();
  if (ready) ready = priv::drop_to(start.uid, start.gid);
  if (ready && ::chdir(start.folder.c_str()) != 0 && ::chdir("/") != 0) ready = Error::from_errno(errno, "chdir");
  auto words = split_command(start.command);
  if (ready && words.empty()) ready = Error{base::ErrorKind::malformed, "not a full path"};
  auto input = ready && start.session.valid() ? receive_input(start.session) : base::Result<base::UniqueFd>{base::UniqueFd{}};
  // The client went away in the middle of its message.
  if (ready && !input && input.error().kind() == base::ErrorKind::closed) return 0;
  if (!ready || !input) {
    log::error("run {}: {}", start.command, (ready ? input.error() : ready.error()).message());
    return 3;
  }
  words.insert(words.end(), start.arguments.begin(), start.arguments.end());
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setsid();
    execute(words, start.environment, input->get());
  }
  const int code = pid > 0 ? wait_for(pid, start.session.valid() ? kProgramMs : kHookMs) : -1;
  if (code != 0) log::warning("{} failed: {}", start.command, code < 0 ? "killed, or not started in time" : "exit code " + std::to_string(code));
  ipc::SubmitDone done;
  done.exit_code = code;
  if (start.session.valid()) (void)start.session.send(done);
  return 0;
}

}  // namespace qpop::program
