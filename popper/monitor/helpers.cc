// SPDX-License-Identifier: MIT
// Processes beside the roles: a program of the administrator's choice (XTND XMIT, login-command), the look-up of a client's name.
// Runs as: root, or the user who started the server.
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/base/text.h"
#include "common/log/log.h"
#include "popper/monitor/monitor.h"

namespace qpop::monitor {

namespace {

using config::Opt;

// A flood of clients must not become a flood of processes.
constexpr std::size_t kMostHelpers = 64;

constexpr std::string_view kPath = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

}  // namespace

pid_t Monitor::keep_helper(pid_t pid, ipc::Channel channel, const ipc::SessionId& session) {
  if (pid < 0) return pid;
  HelperProcess& helper = helpers_[pid];
  helper.channel = std::move(channel);
  helper.session = session;
  watch(helper.channel.fd(), [this, pid] { on_helper_message(pid); });
  return pid;
}

void Monitor::on_helper_message(pid_t pid) {
  const auto found = helpers_.find(pid);
  if (found == helpers_.end()) return;
  const auto frame = found->second.channel.receive(0);
  ipc::LogLine line;
  ipc::ClientName name;
  if (frame && frame->read(line)) return on_log_line(*frame, pid, ++found->second.lines);
  if (frame && frame->read(name)) {
    LiveSession* session = find_session(found->second.session);
    if (session != nullptr && base::is_host_name(name.name.view())) session->client_name = name.name.view();
    return;
  }
  if (!frame && frame.error().kind() == base::ErrorKind::busy) return;
  unwatch(found->second.channel.fd());
  found->second.channel.close();
}

/// What it said last may still be waiting in its channel.
bool Monitor::on_helper_end(pid_t pid) {
  const auto found = helpers_.find(pid);
  if (found == helpers_.end()) return false;
  constexpr int kMost = 100;
  for (int i = 0; i < kMost && found->second.channel.valid(); ++i) on_helper_message(pid);
  if (found->second.channel.valid()) unwatch(found->second.channel.fd());
  helpers_.erase(found);
  return true;
}

void Monitor::look_up_name(const LiveSession& session) {
  if (!settings_.boolean(Opt::reverse_lookup) || helpers_.size() >= kMostHelpers || session.client.text == "local") return;
  auto pair = ipc::Channel::pair();
  if (!pair) return;
  ResolverTask task;
  task.address = session.client.text;
  task.uid = environment_.session_user.uid;
  task.gid = environment_.session_user.gid;
  task.monitor = std::move(pair->second);
  const pid_t pid = fork_role("popper-resolver", [&] { return roles_.resolver(std::move(task)); });
  keep_helper(pid, std::move(pair->first), session.id);
}

void Monitor::run_login_command(const LiveSession& session) {
  const auto& command = settings_.text(Opt::login_command);
  if (command.empty()) return;
  if (helpers_.size() >= kMostHelpers) return log::warning("login-command not run for {}: too many processes", session.owner.name);
  auto pair = ipc::Channel::pair();
  if (!pair) return;
  ProgramTask task;
  task.command = command;
  task.environment = {std::string{kPath}, "POP_USER=" + session.owner.name, "POP_CLIENT=" + session.client.text, "POP_SERVER=" + environment_.server_name};
  task.uid = environment_.session_user.uid;
  task.gid = environment_.session_user.gid;
  task.monitor = std::move(pair->second);
  const pid_t pid = fork_role("popper-program", [&] { return roles_.program(std::move(task)); });
  keep_helper(pid, std::move(pair->first), session.id);
}

/// The program is the one that the user's own process named, and runs as he does.
void Monitor::on_request_submit(LiveSession& session, const ipc::Frame&) {
  auto to_monitor = ipc::Channel::pair();
  auto to_session = ipc::Channel::pair();
  // His own process may name another program only where his option files may.
  const bool his_choice = !environment_.mail_user && (settings_.boolean(Opt::user_options) || settings_.boolean(Opt::spool_options));
  const std::string command = his_choice ? std::string{session.user.mail_command.view()} : settings_.text(Opt::mail_command);
  const bool possible = to_monitor && to_session && helpers_.size() < kMostHelpers && !command.empty();
  if (!possible) return (void)session.channel.send(ipc::LoginRefused{}, {}, false);
  const auto& owner = session.owner;
  ProgramTask task;
  task.command = command;
  task.arguments = {"-t", "-i", "-oem"};
  task.environment = {std::string{kPath}, "USER=" + owner.name, "LOGNAME=" + owner.name, "HOME=" + (owner.home.empty() ? "/" : owner.home)};
  task.uid = owner.uid;
  task.gid = owner.gid;
  task.folder = owner.home.empty() ? "/" : owner.home;
  task.monitor = std::move(to_monitor->second);
  task.session = std::move(to_session->second);
  const pid_t pid = fork_role("popper-program", [&] { return roles_.program(std::move(task)); });
  if (keep_helper(pid, std::move(to_monitor->first), session.id) < 0) return (void)session.channel.send(ipc::LoginRefused{}, {}, false);
  log::info("Pop transmit from \"{}\" on \"{}\"", owner.name, session.client.text);
  const std::array<int, 1> end{to_session->first.fd()};
  (void)session.channel.send(ipc::SubmitChannel{}, end, false);
}

}  // namespace qpop::monitor
