// SPDX-License-Identifier: MIT
// Processes that judge one login: the system's passwords, a client's certificate.
// Runs as: root, or the user who started the server. Passwords never come here.
#include <fcntl.h>

#include <array>
#include <csignal>

#include "common/log/log.h"
#include "popper/monitor/monitor.h"
#include "popper/monitor/startup.h"

namespace qpop::monitor {

namespace {

using base::Error;
using base::ErrorKind;
using config::Opt;

constexpr std::size_t kMostCheckers = 16;  // the authenticator wants eight at a time; some that have answered are not gone yet
constexpr std::int64_t kCheckerMs = 30'000;
// After that another one takes over: modules may have been replaced on the disk.
constexpr std::int64_t kStarterMs = 600'000;

}  // namespace

/// The request names a session and nothing else: what is asked, the two of them settle between themselves.
void Monitor::on_request_checker(const ipc::Channel& authenticator, const ipc::RequestChecker& message) {
  const LiveSession* session = find_session(message.session);
  ipc::CheckerChannel answer;
  answer.session = message.session;
  auto channel = base::Result<ipc::Channel>{Error{ErrorKind::denied, "not now"}};
  if (session != nullptr && session->phase == Phase::authorization) channel = message.certificate != 0 ? spawn_certificate_checker() : start_checker(*session);
  const std::array<int, 1> end{channel ? channel->fd() : -1};
  const auto ends = std::span{end}.first(channel ? 1U : 0U);
  if (auto sent = authenticator.send(answer, ends, false); !sent) log::error("authenticator: {}", sent.error().message());
}

base::Result<ipc::Channel> Monitor::spawn_certificate_checker() {
  const bool possible = profile_.file.valid() && !settings_.text(Opt::tls_client_ca_file).empty();
  if (!possible || checkers_.size() >= kMostCheckers) return Error{ErrorKind::denied, "not now"};
  auto pair = ipc::Channel::pair();
  if (!pair) return pair.error();
  CheckerTask task;
  task.authenticator = std::move(pair->second);
  task.profile.reset(::fcntl(profile_.file.get(), F_DUPFD_CLOEXEC, 0));
  task.uid = environment_.tls_user.uid;
  task.gid = environment_.tls_user.gid;
  task.empty_root = empty_root_;
  const pid_t pid = fork_role("popper-check", [&] { return roles_.checker(std::move(task)); });
  if (pid < 0) return Error{ErrorKind::io, "fork failed"};
  checkers_[pid] = {clock_.monotonic_ms() + kCheckerMs};
  return std::move(pair->first);
}

base::Result<ipc::Channel> Monitor::start_checker(const LiveSession& session) {
  if (system_backends(settings_, environment_).empty()) return Error{ErrorKind::denied, "no system accounts"};
  if (checker_starter_.pid >= 0 && clock_.monotonic_ms() - checker_starter_.started_ms > kStarterMs) retire_checker_starter();
  auto pair = ipc::Channel::pair();
  if (!pair) return pair.error();
  ipc::StartChecker message;
  message.client.set(session.client.text);
  const std::array<int, 1> end{pair->second.fd()};
  // One that has died, or is stuck, is replaced once.
  for (int i = 0; i < 2; ++i) {
    if (checker_starter_.pid < 0 && !spawn_checker_starter()) break;
    if (auto sent = helpers_.at(checker_starter_.pid).channel.send(message, end, false)) return std::move(pair->first);
    retire_checker_starter();
  }
  return Error{ErrorKind::io, "no process that asks the system"};
}

bool Monitor::spawn_checker_starter() {
  auto pair = ipc::Channel::pair();
  if (!pair) return false;
  CheckerStarterTask task{std::move(pair->second), system_backends(settings_, environment_), settings_.boolean(Opt::check_password_expired)};
  const pid_t pid = fork_role("popper-checks", [&] { return roles_.checker_starter(std::move(task)); });
  if (keep_helper(pid, std::move(pair->first), {}) < 0) return false;
  checker_starter_ = {pid, clock_.monotonic_ms()};
  return true;
}

/// It ends with the last checker that it has started.
void Monitor::retire_checker_starter() {
  const auto helper = helpers_.find(checker_starter_.pid);
  checker_starter_ = {};
  if (helper == helpers_.end() || !helper->second.channel.valid()) return;
  auto& channel = helper->second.channel;
  if (channel.send(ipc::EndSession{}, {}, false)) return;
  // It is stuck, and its channel full: then the end of the channel tells it.
  unwatch(channel.fd());
  channel.close();
}

/// A module that hangs holds one process, not a place for ever.
void Monitor::end_late_checkers(std::int64_t now) {
  for (const auto& [pid, checker] : checkers_) {
    if (now >= checker.deadline_ms) ::kill(pid, SIGKILL);
  }
}

/// Nobody waits for an answer any more.
void Monitor::end_checkers() {
  if (checker_starter_.pid >= 0) ::kill(checker_starter_.pid, SIGKILL);
  for (const auto& [pid, checker] : checkers_) ::kill(pid, SIGKILL);
}

}  // namespace qpop::monitor
