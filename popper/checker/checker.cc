// SPDX-License-Identifier: MIT
// One question to the system.
// Runs as: root, or the user who started the server.
#include "popper/checker/checker.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "common/base/secret.h"
#include "common/priv/drop.h"

namespace qpop::checker {

namespace {

constexpr long kDay = 86'400;

/// The rights stay, because the modules need them; nothing of the server is in reach, and no core is left behind.
base::Status prepare(const Start& start) {
  const std::array<int, 1> keep{start.authenticator.fd()};
  priv::close_all_except(keep);
  if (auto done = priv::close_standard_streams(); !done) return done;
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) return base::Error::from_errno(errno, "setrlimit core");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return base::Error::from_errno(errno, "prctl dumpable");
  // Its parent kills what is late; this is for the case that it cannot any more.
  (void)::signal(SIGALRM, SIG_DFL);
  ::alarm(kMostSeconds + 1);
  return {};
}

Answer ask(const Start& start, const std::string& user, const base::Secret& password) {
  Answer answer{ipc::SystemOutcome::unknown_user, "no such system user"};
  for (const auto backend : start.backends) {
    answer = backend == Backend::pam ? ask_pam(user, password, start.client)
                                     : ask_shadow(user, password, start.honour_password_age, static_cast<long>(::time(nullptr) / kDay));
    if (answer.outcome != ipc::SystemOutcome::unknown_user) break;
  }
  return answer;
}

}  // namespace

int run_checker(Start start) {
  if (!prepare(start)) return 3;
  auto frame = start.authenticator.receive(static_cast<int>(kMostSeconds) * 1000);
  ipc::CheckSystemPassword question;
  if (!frame || !frame->read(question)) return 0;  // the session has gone meanwhile
  const std::string user{question.user.view()};
  const base::Secret password{question.password.view()};
  base::wipe(std::as_writable_bytes(std::span{&question, 1}));
  const auto answer = user.find('\0') == std::string::npos ? ask(start, user, password) : Answer{ipc::SystemOutcome::unknown_user, "NUL in the name"};
  ipc::SystemVerdict verdict;
  verdict.outcome = answer.outcome;
  verdict.reason.set(answer.reason);
  (void)start.authenticator.send(verdict);
  return 0;
}

}  // namespace qpop::checker
