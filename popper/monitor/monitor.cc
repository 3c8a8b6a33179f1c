// SPDX-License-Identifier: MIT
// The monitor's loop, its signals and its end.
// Runs as: root, or the user who started the server.
#include "popper/monitor/monitor.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "common/digest/digest.h"
#include "common/files/file_system.h"
#include "common/log/log.h"
#include "common/priv/sandbox.h"
#include "popper/monitor/service_manager.h"
#include "popper/monitor/startup.h"

namespace qpop::monitor {

namespace {

using config::Opt;

constexpr std::int64_t kStopGraceMs = 10'000;   // for sessions; an update at work is waited for as long as it takes
constexpr std::int64_t kUpdateGraceMs = 180'000;
constexpr std::int64_t kLoginSlackMs = 240'000;  // delayed refusals and a slow write may come on top of login-timeout
constexpr std::int64_t kJobMs = 600'000;  // to open or recover a maildrop: waiting for locks takes 200 seconds at most, reading gigabytes some more
constexpr unsigned kMaxRecoveries = 3;  // of one maildrop in a row, when each of them is killed
constexpr int kQuietMs = 10;  // no client did anything for so long: nobody is kept waiting by a fork
constexpr int kMaxDrain = 1000;  // messages of a process that has ended; a socket buffer holds fewer

base::Result<base::UniqueFd> open_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return base::Error::from_errno(errno, "sigprocmask");
  base::UniqueFd fd{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!fd.valid()) return base::Error::from_errno(errno, "signalfd");
  return fd;
}

/// One channel for each session here, one more in the authenticator: as many descriptors as the system lets us have.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

}  // namespace

Monitor::Monitor(config::Settings settings, Environment environment, Roles roles, Reload reload)
    : settings_(std::move(settings)), environment_(std::move(environment)), roles_(std::move(roles)), reload_(std::move(reload)) {}

Monitor::~Monitor() = default;

base::Status Monitor::prepare_loop() {
  started_ms_ = clock_.monotonic_ms();
  // No fast bins: the first large request of a child would merge what this process has freed, and copy each page it touches for that.
  (void)::mallopt(M_MXFAST, 0);
  raise_descriptor_limit();
  if (const auto boot = files::SystemFileSystem{}.boot_name(); !boot.empty()) boot_ = digest::xxh3_64(boot);
  if (::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return base::Error::from_errno(errno, "signal");
  ::umask(077);
  auto signals = open_signals();
  if (!signals) return signals.error();
  signals_ = std::move(*signals);
  epoll_ = base::UniqueFd{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll_.valid()) return base::Error::from_errno(errno, "epoll_create1");
  watch(signals_.get(), [this] { on_signal(); });
  return {};
}

base::Status Monitor::prepare() {
  if (auto ready = prepare_loop(); !ready) return ready;
  priv::prepare_filters();
  if (environment_.root) {
    empty_root_ = settings_.text(Opt::state_dir) + "/empty";
    if (::mkdir(empty_root_.c_str(), 0555) != 0 && errno != EEXIST) return base::Error::from_errno(errno, "mkdir").at("make folder", empty_root_);
  }
  if (!spawn_authenticator()) return base::Error{base::ErrorKind::io, "cannot start the authenticator"};
  return prepare_tls();
}

int Monitor::serve(std::vector<OpenListener>&& listeners) {
  if (auto ready = prepare(); !ready) {
    log::fatal("{}", ready.error().at("start").message());
    return 3;
  }
  for (auto& listener : listeners) open_to_clients(std::move(listener));
  refill_spares(true);
  keep_maildrop_waiting();
  open_control();
  notify_service_manager("READY=1");
  return loop();
}

void Monitor::open_to_clients(OpenListener listener) {
  log::info("Server: listening on {}{}", describe_listener(listener.fd.get()), speaks_tls_at_once(listener.tls) ? " (TLS)" : "");
  watch_listener(listener);
  listeners_.push_back(std::move(listener));
}

int Monitor::serve_one(base::UniqueFd client) {
  single_ = true;
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getpeername(client.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) address.ss_family = AF_UNSPEC;
  if (auto ready = prepare(); !ready) {
    log::fatal("{}", ready.error().at("start").message());
    return 3;
  }
  LiveSession* session = spawn_session();
  if (session == nullptr) return 3;
  hand_over(*session, std::move(client), describe_client(address), speaks_tls_at_once(false));
  return loop();
}

void Monitor::watch(int fd, const std::function<void()>& handler) {
  watches_[fd] = std::allocate_shared<std::function<void()>>(std::pmr::polymorphic_allocator<std::function<void()>>{memory_.get()}, handler);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void Monitor::unwatch(int fd) {
  if (watches_.erase(fd) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

bool Monitor::finished() const {
  const bool idle = sessions_.size() == spares_.size() && jobs_.empty();
  if (recovery_ != nullptr) return idle && recovery_->waiting.empty();
  return (single_ || stopping_) && idle;
}

/// Until something is due.
int Monitor::wait_ms(std::int64_t now) const { return wants_maildrop(now) ? std::min(tls_wait_ms(now), kQuietMs) : tls_wait_ms(now); }

int Monitor::loop() {
  while (!finished()) {
    std::array<epoll_event, 64> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms(clock_.monotonic_ms()));
    if (count < 0 && errno != EINTR) {
      log::fatal("epoll_wait: errno {}", errno);
      return 4;
    }
    for (int i = 0; i < count; ++i) {
      const auto found = watches_.find(events.at(static_cast<std::size_t>(i)).data.fd);
      if (found == watches_.end()) continue;  // its owner ended earlier in this round
      const auto handler = found->second;     // keeps it alive while it removes itself
      (*handler)();
    }
    check_deadlines();
    if (awaits_clients() && clock_.monotonic_ms() >= spares_again_ms_) refill_spares(count == 0);
    if (count == 0 && wants_maildrop(clock_.monotonic_ms())) keep_maildrop_waiting();
  }
  end_checkers();
  if (recovery_ == nullptr) log::info("Server: {}", single_ ? "session served" : "stopped");
  return 0;
}

void Monitor::check_deadlines() {
  const auto now = clock_.monotonic_ms();
  if (accept_again_ms_ != 0 && now >= accept_again_ms_) {
    accept_again_ms_ = 0;
    for (const auto& listener : listeners_) watch_listener(listener);
    if (metrics_.valid()) watch(metrics_.get(), [this] { on_metrics_connect(); });
  }
  const bool has_authenticator = std::ranges::any_of(authenticators_, [](const auto& entry) { return !entry.second.retired; });
  if (!has_authenticator && recovery_ == nullptr && !stopping_ && now >= authenticator_again_ms_) spawn_authenticator();
  end_stuck_jobs(now);
  look_at_tls_files(now);
  end_late_askers(now);
  if (signer_again_ms_ != 0 && now >= signer_again_ms_ && !stopping_) {
    signer_again_ms_ = 0;
    renew_tls();
  }
  if (stopping_ && now >= stop_deadline_ms_) {
    std::vector<pid_t> late;
    for (const auto& [pid, session] : sessions_) {
      if (session.phase != Phase::updating || now >= stop_deadline_ms_ + kUpdateGraceMs) late.push_back(pid);
    }
    for (const pid_t pid : late) end_session(pid, true);
    for (const auto& [pid, job] : jobs_) {
      // The owner of the mail may have stopped his process; an update gets its time, and its journal mends the rest.
      if (job.work == MaildropWork::open || now >= stop_deadline_ms_ + kUpdateGraceMs) ::kill(pid, SIGKILL);
    }
  }
  end_overdue_logins(now);
  end_late_checkers(now);
}

/// The owner of the mail can stop his process for as long as he likes; the journal makes it safe to end it.
void Monitor::end_stuck_jobs(std::int64_t now) {
  for (const auto& [pid, job] : jobs_) {
    if (job.reaped || job.work == MaildropWork::update || now - job.started_ms < kJobMs) continue;
    log::warning("maildrop process {} of {}: at work for more than {} seconds; killed", pid, job.owner.name, kJobMs / 1000);
    ::kill(pid, SIGKILL);
  }
}

/// The session ends itself after login-timeout; one that does not is not ours any more.
void Monitor::end_overdue_logins(std::int64_t now) {
  const std::int64_t most = settings_.number(Opt::login_timeout) * 1000 + kLoginSlackMs;
  std::vector<pid_t> overdue;
  for (const auto& [since, pid] : not_logged_in_) {
    if (now - since <= most) break;
    if (!sessions_.at(pid).told_to_end) overdue.push_back(pid);
  }
  for (const pid_t pid : overdue) {
    log::warning("session process {} for {}: not logged in long after login-timeout; killed", pid, sessions_.at(pid).client.text);
    end_session(pid, true);
  }
}

void Monitor::on_signal() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGHUP && !stopping_) reload_settings();
    if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) begin_shutdown();
  }
  int status = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) on_child(pid, status);
}

void Monitor::on_child(pid_t pid, int status) {
  const bool killed = WIFSIGNALED(status);
  const auto how = killed ? fmt::format("killed by signal {}", WTERMSIG(status)) : fmt::format("exit code {}", WEXITSTATUS(status));
  if (const auto session = sessions_.find(pid); session != sessions_.end()) {
    // What it said last, log lines above all, may still be waiting in the channel.
    session->second.reaped = true;
    const int channel = session->second.channel.fd();
    for (int i = 0; i < kMaxDrain && watches_.contains(channel); ++i) on_session_message(pid);
    // So may a failed login of its, which the log watchers must see.
    for (const auto& [number, process] : authenticators_) hear_authenticator(number);
    // A role that cannot even start is tried again, not in a loop.
    if (session->second.phase == Phase::spare) spares_again_ms_ = clock_.monotonic_ms() + kAgainMs;
    const bool expected = session->second.told_to_end || (!killed && WEXITSTATUS(status) == 0);
    log_timing(session->second);
    if (session->second.phase == Phase::transaction || session->second.phase == Phase::updating) count_end(session->second);
    if (!expected) log::error("session process {} for {} ended: {}", pid, session->second.client.text, how);
    end_session(pid, false);
  } else if (const auto job = jobs_.find(pid); job != jobs_.end()) {
    // Its lock messages may still be waiting in the channel.
    job->second.reaped = true;
    for (int i = 0; i < kMaxDrain && job->second.channel.valid(); ++i) on_maildrop_message(pid);
    if (killed && !job->second.unwanted) log::error("maildrop process {} of {} ended: {}", pid, job->second.owner.name, how);
    MaildropJob ended = std::move(job->second);
    if (const auto served = sessions_.find(ended.session); ended.work == MaildropWork::open && served != sessions_.end()) {
      served->second.opened_ms = clock_.monotonic_ms();
    }
    jobs_.erase(pid);
    if (ended.work == MaildropWork::open) counters_.opens.add(clock_.monotonic_ms() - ended.started_ms);
    ended.dotlock.reset();  // it may have died with the dotlock held
    on_job_end(ended, killed, WEXITSTATUS(status), how);
  } else if (pid == waiting_maildrop_.pid) {
    log::error("maildrop process {} that waited for work ended: {}", pid, how);
    waiting_maildrop_ = {};
    maildrop_again_ms_ = clock_.monotonic_ms() + kAgainMs;
  } else if (on_helper_end(pid)) {
    // It told what there was to tell.
    if (pid == checker_starter_.pid) {
      log::error("process {} that starts those who ask the system about logins ended: {}", pid, how);
      checker_starter_ = {};
    }
  } else if (checkers_.erase(pid) != 0) {
    // The authenticator sees the end of its channel.
    if (killed) log::error("process {} that judged a certificate ended: {}", pid, how);
  } else if (on_signer_end(pid, how)) {
    return;
  } else if (const auto authenticator = authenticators_.find(pid); authenticator != authenticators_.end()) {
    if (!authenticator->second.retired && !stopping_) {
      log::error("authenticator process {} ended: {}; starting another", pid, how);
      authenticator_again_ms_ = clock_.monotonic_ms() + kAgainMs;
    }
    if (authenticator->second.channel.valid()) unwatch(authenticator->second.channel.fd());
    authenticators_.erase(authenticator);
  }
}

/// Other programs must not meet a half moved spool for longer than can be helped: who died over a maildrop, whatever its job was, may
/// leave a journal behind.
void Monitor::on_job_end(const MaildropJob& job, bool killed, int exit_code, const std::string& how) {
  const bool at_fault = killed || exit_code != 0;
  // We killed it ourselves. Without a journal there is nothing to mend, and a recovery would wait for the same locks.
  const auto journal = job.unwanted ? has_file(job.owner.state_folder, kJournalName) : base::Result<bool>{false};
  const bool unwanted = job.work == MaildropWork::open && (stopping_ || (job.unwanted && journal && !*journal));
  if (at_fault && !unwanted && job.tries < kMaxRecoveries && spawn_maildrop(MaildropWork::recover, job.owner, nullptr, job.tries + 1)) return;
  if (recovery_ == nullptr) return;
  on_recovery_end(job, how);
  start_recoveries();
}

/// Sessions go on whatever happens to the sockets.
void Monitor::replace_listeners(const std::vector<std::string>& wanted) {
  std::erase_if(listeners_, [&](const OpenListener& listener) {
    if (listener.text.empty() || std::ranges::find(wanted, listener.text) != wanted.end()) return false;
    log::info("Server: no longer listening on {}", describe_listener(listener.fd.get()));
    unwatch(listener.fd.get());
    return true;
  });
  for (const auto& text : wanted) {
    if (std::ranges::any_of(listeners_, [&](const OpenListener& listener) { return listener.text == text; })) continue;
    auto address = parse_listen(text);
    auto opened = address ? open_listeners(*address) : base::Result<std::vector<base::UniqueFd>>{address.error()};
    if (!opened) {
      log::error("listen {}: {}", text, opened.error().message());
      continue;
    }
    for (auto& fd : *opened) open_to_clients({text, std::move(fd), address->tls});
  }
}

/// False, and nothing changed, when users, folders or database do not fit them.
bool Monitor::take_settings(config::Settings&& fresh) {
  std::vector<config::Problem> problems;
  auto environment = look_up_environment(fresh, problems);
  check_environment(fresh, environment, problems);
  for (const auto& problem : problems) log::write(problem.warning ? log::Severity::warning : log::Severity::error, problem.text);
  if (config::has_errors(problems)) return false;
  replace_listeners(fresh.list(Opt::listen));
  settings_ = std::move(fresh);
  environment_ = std::move(environment);
  return true;
}

void Monitor::reload_settings() {
  notify_service_manager(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", clock_.monotonic_ms() * 1000));
  auto fresh = reload_();
  if (!fresh || !take_settings(std::move(*fresh))) {
    log::error("configuration not reloaded; the old one stays in use");
    notify_service_manager("READY=1");
    return;
  }
  // A fresh authenticator reads database and key anew; the old one ends with the sessions it still serves.
  for (auto& [pid, process] : authenticators_) retire(process);
  spawn_authenticator();
  retire_checker_starter();
  waiting_maildrop_ = {};  // it has the old settings, and ends with its channel
  reload_tls();
  open_metrics_socket();
  log::info("configuration reloaded");
  notify_service_manager("READY=1");
}

void Monitor::begin_shutdown() {
  if (stopping_) return;
  log::info("Server: stopping, {} sessions", sessions_.size() - spares_.size());
  notify_service_manager("STOPPING=1");
  stopping_ = true;
  waiting_maildrop_ = {};
  close_control();
  stop_deadline_ms_ = clock_.monotonic_ms() + kStopGraceMs;
  for (const auto& listener : listeners_) unwatch(listener.fd.get());
  listeners_.clear();
  std::vector<pid_t> unused{spares_.begin(), spares_.end()};
  for (const pid_t pid : unused) end_session(pid, true);
  for (auto& [pid, session] : sessions_) {
    session.told_to_end = true;
    (void)session.channel.send(ipc::EndSession{}, {}, false);
  }
}

}  // namespace qpop::monitor
