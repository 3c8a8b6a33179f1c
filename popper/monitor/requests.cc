// SPDX-License-Identifier: MIT
// The request table: what a less privileged process may ask, in which phase, how often. Anything else ends its session.
// Runs as: root, or the user who started the server.
#include <poll.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "common/base/text.h"
#include "common/log/log.h"
#include "popper/monitor/monitor.h"

namespace qpop::monitor {

namespace {

using config::Opt;
using ipc::MessageType;

constexpr unsigned phase_bit(Phase phase) { return 1U << static_cast<unsigned>(phase); }
constexpr unsigned work_bit(MaildropWork work) { return 1U << static_cast<unsigned>(work); }
constexpr unsigned kWithClient = phase_bit(Phase::authorization) | phase_bit(Phase::transaction) | phase_bit(Phase::updating);

/// A session that floods the log is cut off, not the log.
constexpr unsigned kMaxLogLines = 60;

constexpr unsigned kMaxSubmissions = 100;

constexpr std::array<std::string_view, 3> kOwnLines{"(v", "[AUTH]", "Stats:"};

bool is_done(const base::Error& error) { return error.kind() == base::ErrorKind::busy; }

}  // namespace

/// Requests of a session process.
struct RequestTable {
  MessageType type;
  unsigned phases;
  unsigned most;  ///< how often in the life of a session
  std::uint16_t size;
  void (Monitor::*handler)(LiveSession&, const ipc::Frame&);  ///< nullptr: a log line

  static const RequestTable* find(std::uint16_t type);
};

const RequestTable* RequestTable::find(std::uint16_t type) {
  static constexpr std::array kRows{
      RequestTable{MessageType::log_line, kWithClient | phase_bit(Phase::spare), ~0U, sizeof(ipc::LogLine), nullptr},
      // Read late on a busy machine: what the authenticator said behind it may have been read before.
      RequestTable{MessageType::tls_started, phase_bit(Phase::authorization) | phase_bit(Phase::transaction), 1, sizeof(ipc::TlsStarted), &Monitor::on_tls_started},
      RequestTable{MessageType::request_update, phase_bit(Phase::transaction), 1, sizeof(ipc::RequestUpdate), &Monitor::on_request_update},
      RequestTable{MessageType::request_submit, phase_bit(Phase::transaction), kMaxSubmissions, sizeof(ipc::RequestSubmit), &Monitor::on_request_submit},
      RequestTable{MessageType::session_ended, kWithClient, 1, sizeof(ipc::SessionEnded), &Monitor::on_ended},
      RequestTable{MessageType::session_report, phase_bit(Phase::transaction) | phase_bit(Phase::updating), 1, sizeof(ipc::SessionReport), &Monitor::on_report},
  };
  static_assert(std::ranges::all_of(kRows, [](const RequestTable& row) { return static_cast<std::size_t>(row.type) < kRequestTypes; }), "they are counted by type");
  const auto* row = std::ranges::find_if(kRows, [type](const RequestTable& candidate) { return static_cast<std::uint16_t>(candidate.type) == type; });
  return row == kRows.end() ? nullptr : row;
}

/// Requests of a maildrop process.
struct JobRequestTable {
  MessageType type;
  unsigned works;  ///< bit set of MaildropWork
  unsigned most;
  std::uint16_t size;
  void (Monitor::*handler)(MaildropJob&, const ipc::Frame&);  ///< nullptr: a log line

  static const JobRequestTable* find(std::uint16_t type);
};

const JobRequestTable* JobRequestTable::find(std::uint16_t type) {
  constexpr unsigned kAny = ~0U;
  static constexpr std::array kRows{
      JobRequestTable{MessageType::log_line, kAny, ~0U, sizeof(ipc::LogLine), nullptr},
      JobRequestTable{MessageType::dotlock_request, kAny, ~0U, sizeof(ipc::DotlockRequest), &Monitor::on_dotlock},
      JobRequestTable{MessageType::user_settings, work_bit(MaildropWork::open), 1, sizeof(ipc::UserSettings), &Monitor::on_user_settings},
      JobRequestTable{MessageType::maildrop_recovered, work_bit(MaildropWork::recover), 1, sizeof(ipc::MaildropRecovered), &Monitor::on_recovered},
  };
  static_assert(std::ranges::all_of(kRows, [](const JobRequestTable& row) { return static_cast<std::size_t>(row.type) < kRequestTypes; }), "they are counted by type");
  const auto* row = std::ranges::find_if(kRows, [type](const JobRequestTable& candidate) { return static_cast<std::uint16_t>(candidate.type) == type; });
  return row == kRows.end() ? nullptr : row;
}

void Monitor::on_session_message(pid_t pid) {
  const auto found = sessions_.find(pid);
  if (found == sessions_.end()) return;
  LiveSession& session = found->second;
  const auto frame = session.channel.receive(0);
  if (!frame) {
    if (is_done(frame.error())) return;
    unwatch(session.channel.fd());  // its end is told by SIGCHLD
    if (frame.error().kind() == base::ErrorKind::malformed) {
      log::error("session process {} for {}: {}; killed", pid, session.client.text, frame.error().message());
      end_session(pid, true);
    }
    return;
  }
  const auto* row = RequestTable::find(frame->type);
  const bool in_phase = row != nullptr && (row->phases & phase_bit(session.phase)) != 0 && frame->size == row->size && frame->descriptors.empty();
  if (!in_phase || ++session.requests.at(frame->type) > row->most) {
    log::error("session process {} for {}: request {} of {} octets is not allowed in phase {}; killed", pid, session.client.text, frame->type,
               frame->size, static_cast<int>(session.phase));
    unwatch(session.channel.fd());
    return end_session(pid, true);
  }
  if (row->handler == nullptr) return on_log_line(*frame, pid, session.requests.at(frame->type));
  (this->*row->handler)(session, *frame);
}

void Monitor::on_log_line(const ipc::Frame& frame, pid_t from, unsigned count) {
  ipc::LogLine line;
  if (!frame.read(line) || line.severity > static_cast<std::uint32_t>(log::Severity::panic) || (count > kMaxLogLines && !settings_.boolean(Opt::debug))) return;
  // Lines of these forms are the monitor's own; log watchers act on them.
  const auto text = line.text.view();
  const bool forged = std::ranges::any_of(kOwnLines, [&](std::string_view own) { return text.starts_with(own); });
  const auto severity = std::min(static_cast<log::Severity>(line.severity), log::Severity::fatal);
  log::write(severity, forged ? fmt::format("process {}: {}", from, text) : std::string{text});
  if (count == kMaxLogLines && !settings_.boolean(Opt::debug)) log::warning("process {}: no more of its log lines are shown", from);
}

void Monitor::on_request_update(LiveSession& session, const ipc::Frame&) {
  session.phase = Phase::updating;
  session.update_ms = clock_.monotonic_ms();
  if (!spawn_maildrop(MaildropWork::update, session.owner, &session)) {
    (void)session.channel.send(ipc::LoginRefused{}, {}, false);
  }
}

void Monitor::on_report(LiveSession& session, const ipc::Frame& frame) {
  ipc::SessionReport report;
  if (!frame.read(report)) return;
  session.reported = true;
  session.deleted = report.deleted;
  if (session.user.statistics == 0) return;
  log::info("Stats: {} {} {} {} {} {} {}", session.owner.name, report.deleted, report.deleted_octets, report.left, report.left_octets,
            session.name_of_client(), session.client.text);
}

void Monitor::on_tls_started(LiveSession& session, const ipc::Frame& frame) {
  ipc::TlsStarted started;
  if (!frame.read(started)) return;
  ++counters_.handshakes;
  if (started.resumed != 0) ++counters_.resumed_handshakes;
  log_tls_started(session, started);
}

void Monitor::on_ended(LiveSession& session, const ipc::Frame& frame) {
  ipc::SessionEnded ended;
  if (frame.read(ended) && ended.why <= ipc::SessionEnd::failure) session.ended = ended;
}

/// Of a session that had logged in: one line, and the counters. What it says of itself is counted and nothing else.
void Monitor::count_end(const LiveSession& session) {
  const auto ended = session.ended.value_or(ipc::SessionEnded{});
  const std::size_t why = session.ended ? static_cast<std::size_t>(ended.why) : kEndNames.size() - 1;
  ++counters_.ends.at(why);
  counters_.sent_octets += ended.sent_octets;
  counters_.retrieved += ended.retrieved;
  counters_.deleted += session.deleted;
  if (session.update_ms != 0) counters_.updates.add(clock_.monotonic_ms() - session.update_ms);
  log::info("(v" QPOP_VERSION ") POP session of user \"{}\" at ({}) {} ended: {}; {} messages in {} octets sent, {} deleted, {} seconds", session.owner.name, session.name_of_client(),
            session.client.text, kEndNames.at(why), ended.retrieved, ended.sent_octets, session.deleted, (clock_.monotonic_ms() - session.started_ms) / 1000);
}

LiveSession* Monitor::find_session(const ipc::SessionId& id) {
  const auto found = numbers_.find(id);
  return found != numbers_.end() ? &sessions_.at(found->second) : nullptr;
}

/// Everything it has said so far.
void Monitor::hear_authenticator(pid_t pid) {
  constexpr int kMost = 1000;  // a socket buffer holds fewer
  for (int i = 0; i < kMost; ++i) {
    const auto found = authenticators_.find(pid);
    if (found == authenticators_.end() || !found->second.channel.valid()) return;
    pollfd waiting{found->second.channel.fd(), POLLIN, 0};
    if (::poll(&waiting, 1, 0) <= 0) return;
    on_authenticator_message(pid);
  }
}

void Monitor::on_authenticator_message(pid_t pid) {
  const auto found = authenticators_.find(pid);
  if (found == authenticators_.end()) return;
  const auto frame = found->second.channel.receive(0);
  ipc::LogLine line;
  ipc::LoginAccepted accepted;
  ipc::LoginFailed failed;
  ipc::RequestChecker checker;
  if (frame && frame->read(line)) return on_log_line(*frame, pid, 1);
  if (frame && frame->read(accepted)) return on_login_accepted(found->second.channel, accepted);
  if (frame && frame->read(failed)) return on_login_failed(failed);
  if (frame && frame->read(checker)) return on_request_checker(found->second.channel, checker);
  if (!frame && is_done(frame.error())) return;
  unwatch(found->second.channel.fd());
  found->second.channel.close();
  if (frame || frame.error().kind() == base::ErrorKind::malformed) {
    log::error("authenticator process {}: message that is not allowed; killed", pid);
    ::kill(pid, SIGKILL);
  }
}

void Monitor::on_maildrop_message(pid_t pid) {
  const auto found = jobs_.find(pid);
  if (found == jobs_.end()) return;
  MaildropJob& job = found->second;
  const auto frame = job.channel.receive(0);
  const auto* row = frame ? JobRequestTable::find(frame->type) : nullptr;
  const bool allowed = row != nullptr && (row->works & work_bit(job.work)) != 0 && frame->size == row->size && frame->descriptors.empty();
  if (allowed && ++job.requests.at(frame->type) <= row->most) {
    if (row->handler == nullptr) return on_log_line(*frame, pid, job.requests.at(frame->type));
    return (this->*row->handler)(job, *frame);
  }
  if (!frame && is_done(frame.error())) return;
  unwatch(job.channel.fd());
  job.channel.close();
  if (frame || frame.error().kind() == base::ErrorKind::malformed) {
    log::error("maildrop process {} of {}: message that is not allowed; killed", pid, job.owner.name);
    if (!job.reaped) ::kill(pid, SIGKILL);
  }
}

/// The request names no path: folder and name are those of the user the authenticator named.
void Monitor::on_dotlock(MaildropJob& job, const ipc::Frame& frame) {
  ipc::DotlockRequest request;
  if (!frame.read(request)) return;
  // No path in a home is opened by us: it may hang, or lead anywhere.
  if (job.owner.in_home) {
    if (job.channel.valid()) (void)job.channel.send(ipc::DotlockReply{ipc::DotlockResult::failed, EPERM}, {}, false);
    return;
  }
  if (job.dotlock == nullptr) job.dotlock = std::make_unique<SpoolDotlock>(job.owner);
  const auto reply = job.dotlock->apply(request);
  if (job.channel.valid()) (void)job.channel.send(reply, {}, false);
}

/// In a struct of the user's process; nothing in it lets him do more than he can.
void Monitor::on_user_settings(MaildropJob& job, const ipc::Frame& frame) {
  const auto session = sessions_.find(job.session);
  ipc::UserSettings user;
  if (session != sessions_.end() && frame.read(user)) session->second.user = user;
}

void Monitor::on_recovered(MaildropJob& job, const ipc::Frame& frame) {
  ipc::MaildropRecovered recovered;
  if (!frame.read(recovered)) return;
  if (recovered.outcome > ipc::RecoveryOutcome::failed) recovered.outcome = ipc::RecoveryOutcome::failed;
  ++counters_.recoveries.at(static_cast<std::size_t>(recovered.outcome));
  job.recovered = recovered;
}

}  // namespace qpop::monitor
