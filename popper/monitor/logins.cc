// SPDX-License-Identifier: MIT
// What the authenticator says of a session: a password was right, or wrong, or the system must be asked about it.
// Runs as: root, or the user who started the server. Passwords never come here.
#include "common/base/text.h"
#include "common/log/log.h"
#include "popper/monitor/login_line.h"
#include "popper/monitor/mechanisms.h"
#include "popper/monitor/monitor.h"
#include "popper/monitor/startup.h"

namespace qpop::monitor {

namespace {

using config::Opt;

}  // namespace

/// The original's line, with the reason behind it in the place where its debugging builds had the source line; one line an event.
/// Log watchers take the address from it, so nothing of the client's choice stands unescaped in front of it. The mechanism stands behind the
/// reason, within its brackets: a watcher that looks for the beginning of a reason still finds it.
void Monitor::log_failed_login(const LiveSession& session, std::string_view user, std::string_view reason, ipc::LoginMechanism mechanism) {
  log::info("[AUTH] Failed attempted login to {} from host ({}) {} [{} ({})]", base::escape_word(user, 80), session.name_of_client(), session.client.text,
            base::escape_untrusted(reason), name_of(mechanism).name);
}

void Monitor::log_login(const LiveSession& session) {
  const auto& pattern = settings_.text(Opt::log_login);
  if (pattern.empty()) return;
  const auto line = login_line(pattern, {QPOP_VERSION, session.owner.name, session.name_of_client(), session.client.text});
  if (line) log::info("{}", *line);  // a wrong pattern was told at start
}

/// In whole seconds, as in the original.
void Monitor::log_timing(const LiveSession& session) {
  if (session.user.timing == 0 || session.accepted_ms == 0) return;
  const auto seconds = [](std::int64_t from, std::int64_t to) { return from == 0 || to < from ? 0 : (to - from) / 1000; };
  log::info("(v" QPOP_VERSION ") Timing for {}@{} ({}) auth={} init={} clean={}", session.owner.name, session.name_of_client(),
            session.reported ? "normal" : "error", seconds(session.started_ms, session.accepted_ms), seconds(session.accepted_ms, session.opened_ms),
            seconds(session.update_ms, clock_.monotonic_ms()));
}

/// Rules that need no look at the system account.
base::Status Monitor::check_rules(std::string_view user) {
  const auto denied = [](std::string text) { return base::Error{base::ErrorKind::denied, std::move(text)}; };
  const auto& allowed = settings_.text(Opt::auth_file);
  const auto& refused = settings_.text(Opt::nonauth_file);
  // A file that cannot be read keeps everybody out: who made it wanted somebody kept out.
  if (!refused.empty()) {
    const auto listed = refused_names_.contains(refused, user);
    if (!listed) log::error("nonauth-file: {}; nobody can log in", listed.error().message());
    if (!listed || *listed) return denied(listed ? "is in nonauth-file" : "nonauth-file cannot be read");
  }
  if (!allowed.empty()) {
    const auto listed = allowed_names_.contains(allowed, user);
    if (!listed) log::error("auth-file: {}; nobody can log in", listed.error().message());
    if (!listed || !*listed) return denied(listed ? "is not in auth-file" : "auth-file cannot be read");
  }
  if (!settings_.boolean(Opt::check_shell) || environment_.mail_user) return {};
  const auto account = priv::find_account(std::string{user});
  if (account && !is_login_shell(account->shell)) return denied("the shell is not in /etc/shells");
  return {};
}

void Monitor::on_login_accepted(const ipc::Channel& authenticator, const ipc::LoginAccepted& message) {
  LiveSession* session = find_session(message.session);
  if (session == nullptr || session->phase != Phase::authorization) return;  // it has ended meanwhile
  const auto user = message.user.view();
  const auto rules = check_rules(user);
  auto owner = rules ? find_owner(user) : base::Result<MailOwner>{rules.error()};
  ipc::LoginDecision decision;
  decision.session = message.session;
  decision.refused = !owner && owner.error().kind() == base::ErrorKind::denied ? 1 : 0;
  if (decision.refused != 0) log_failed_login(*session, user, owner.error().message(), message.mechanism);
  if (auto sent = authenticator.send(decision, {}, false); !sent) {
    log::error("authenticator: {}", sent.error().message());
    return (void)session->channel.send(ipc::LoginRefused{}, {}, false);
  }
  if (decision.refused != 0) return;
  if (!owner) {
    log::error("login of {} from {}: {}", base::escape_word(user, 80), session->client.text, owner.error().message());
    (void)session->channel.send(ipc::LoginRefused{}, {}, false);
    return;
  }
  session->phase = Phase::transaction;
  not_logged_in_.erase({session->started_ms, session->pid});
  ++counters_.logins.at(name_of(message.mechanism).counted_as);
  session->owner = std::move(*owner);
  session->accepted_ms = clock_.monotonic_ms();
  log_login(*session);
  run_login_command(*session);
  if (!spawn_maildrop(MaildropWork::open, session->owner, session)) {
    (void)session->channel.send(ipc::LoginRefused{}, {}, false);
  }
}

void Monitor::on_login_failed(const ipc::LoginFailed& message) {
  const LiveSession* session = find_session(message.session);
  if (session == nullptr || session->phase != Phase::authorization) return;
  ++counters_.failed_logins.at(name_of(message.mechanism).counted_as);
  log_failed_login(*session, message.user.view(), message.reason.view(), message.mechanism);
}

}  // namespace qpop::monitor
