// SPDX-License-Identifier: MIT
// The lock file for --compare-uidl and --import-uidl.
// Runs as: root, or the user who started it.
#include "popper/take_over.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "common/ipc/channel.h"
#include "common/log/log.h"
#include "popper/monitor/spool_dotlock.h"

namespace qpop {

namespace {

volatile pid_t worker = 0;  // NOLINT: a signal handler has nothing else

/// Whoever ends us means the work; we stay until its lock file is gone.
extern "C" void pass_on(int number) {
  const int before = errno;
  if (worker > 0) ::kill(worker, number);
  errno = before;
}

/// Until the other end is closed. What comes is the user's: anything but a request for the lock file ends it.
void serve(const ipc::Channel& channel, const monitor::MailOwner& owner) {
  monitor::SpoolDotlock dotlock{owner};
  for (;;) {
    const auto frame = channel.receive();
    ipc::DotlockRequest request;
    if (!frame || !frame->descriptors.empty() || !frame->read(request)) {
      if (frame || frame.error().kind() == base::ErrorKind::malformed) log::error("maildrop process {} of {}: message that is not allowed", worker, owner.name);
      return;
    }
    // No path in a home is opened by us: it may hang, or lead anywhere.
    const auto reply = owner.in_home ? ipc::DotlockReply{ipc::DotlockResult::failed, EPERM} : dotlock.apply(request);
    if (!channel.send(reply, {}, false)) return;
  }
}

}  // namespace

int take_over(takeover::Task task, monitor::MailOwner owner, bool by_link) {
  owner.lock_by_link = by_link;
  auto pair = ipc::Channel::pair();
  const pid_t pid = pair ? ::fork() : -1;
  if (pid < 0) {
    log::fatal("no process for the maildrop of {}", owner.name);
    return takeover::kFailed;
  }
  if (pid == 0) {
    pair->first.close();
    task.job.monitor = std::move(pair->second);
    const int code = takeover::run_takeover(std::move(task));
    std::fflush(nullptr);
    ::_exit(code);
  }
  worker = pid;
  for (const int number : {SIGHUP, SIGINT, SIGTERM}) (void)::signal(number, pass_on);
  pair->second.close();
  serve(pair->first, owner);
  pair->first.close();
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  log::error("maildrop process {} of {} ended: killed by signal {}", pid, owner.name, WTERMSIG(status));
  return takeover::kFailed;
}

}  // namespace qpop
