// SPDX-License-Identifier: MIT
// Forking the other roles.
// Runs as: root, or the user who started the server.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <exception>
#include <utility>

#include "common/base/text.h"
#include "common/digest/digest.h"
#include "common/ipc/maildrop_messages.h"
#include "common/log/log.h"
#include "common/priv/drop.h"
#include "popper/monitor/mechanisms.h"
#include "popper/monitor/monitor.h"
#include "popper/monitor/startup.h"

namespace qpop::monitor {

namespace {

using config::Opt;

/// A folder of ours: made when missing, handed to its owner. Existing folders of others are refused.
base::Status ensure_folder(const std::string& path, mode_t mode, uid_t uid, gid_t gid) {
  struct stat status {};
  bool made = false;
  if (::lstat(path.c_str(), &status) != 0) {
    made = ::mkdir(path.c_str(), mode) == 0;
    if (!made && errno != EEXIST) return base::Error::from_errno(errno, "mkdir").at("make folder", path);
    if (::lstat(path.c_str(), &status) != 0) return base::Error::from_errno(errno, "lstat").at("folder", path);
  }
  // One that is ours still was not handed over when it was made: a crash, or its owner's quota. Nobody else can put one there.
  if (S_ISDIR(status.st_mode) && (made || (status.st_uid == ::geteuid() && uid != ::geteuid()))) {
    // The umask is 077; the wanted mode may be wider.
    if (::chmod(path.c_str(), mode) != 0 || ::chown(path.c_str(), uid, gid) != 0) return base::Error::from_errno(errno, "chown").at("make folder", path);
    // A journal in it must not vanish with its name.
    const base::UniqueFd parent{::open(path.substr(0, path.rfind('/')).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (parent.valid()) (void)::fsync(parent.get());
    return {};
  }
  if (!S_ISDIR(status.st_mode) || status.st_uid != uid) {
    return base::Error{base::ErrorKind::unsafe, fmt::format("must be a folder of uid {}, is of uid {}", uid, status.st_uid)}.at("folder", path);
  }
  return {};
}

/// The authenticator's table of waits: made here, because the state folder is ours; handed over open. Invalid when it cannot be had.
base::UniqueFd open_penalties(const std::string& path, const priv::Account& owner) {
  base::UniqueFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)};
  struct stat status {};
  const bool ours = fd.valid() && ::fstat(fd.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1;
  // Whoever the authenticator ran as before may have held it: then it is handed over.
  if (ours && ::fchown(fd.get(), owner.uid, owner.gid) == 0 && ::fchmod(fd.get(), 0600) == 0) return fd;
  log::warning("{}: not a file that can be used; penalties are kept in memory", path);
  return {};
}

}  // namespace

bool is_safe_name(std::string_view name) {
  if (name.empty() || name.size() > 64 || name.front() == '.' || name.front() == '-' || name.ends_with(".lock")) return false;
  return std::ranges::all_of(name, [](char c) { return base::is_alpha(c) || base::is_digit(c) || std::string_view{"._@+-"}.find(c) != std::string_view::npos; });
}

/// Child of one role. The child never returns into the monitor's loop.
pid_t Monitor::fork_role(const char* name, const std::function<int()>& run) {
  const pid_t pid = ::fork();
  if (pid != 0) {
    if (pid < 0) log::error("fork {}: errno {}", name, errno);
    return pid;
  }
  // A service manager or a terminal signals the whole group; how the roles end is the monitor's affair.
  for (const int number : {SIGHUP, SIGINT, SIGTERM}) (void)::signal(number, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  priv::set_process_name(name);
  int code = 4;
  try {
    code = run();
  } catch (const std::exception& error) {
    log::error("{}: {}", name, error.what());
  }
  ::_exit(code);
}

LiveSession* Monitor::spawn_session() {
  auto pair = ipc::Channel::pair();
  if (!pair) {
    log::error("session: {}", pair.error().message());
    return nullptr;
  }
  SessionTask task;
  task.uid = environment_.session_user.uid;
  task.gid = environment_.session_user.gid;
  task.empty_root = empty_root_;
  const bool can_tls = !signers_.empty();
  if (auto ready = can_tls ? roles_.prepare_tls() : base::Status{}; !ready) {
    log::error("session: {}", ready.error().message());
    return nullptr;
  }
  task.monitor = std::move(pair->second);
  const pid_t pid = fork_role("popper-session", [&] { return roles_.session(std::move(task)); });
  if (pid < 0) return nullptr;
  LiveSession& session = sessions_[pid];
  session.pid = pid;
  session.channel = std::move(pair->first);
  session.can_tls = can_tls;
  digest::random_bytes(session.id);
  numbers_[session.id] = pid;
  watch(session.channel.fd(), [this, pid] { on_session_message(pid); });
  return &session;
}

/// Several at once while clients come (`quiet`: none does): after a fork the first change of each page of this process costs a copy.
void Monitor::refill_spares(bool quiet) {
  const auto wanted = static_cast<std::size_t>(settings_.number(Opt::spare_sessions));
  if (!quiet && spares_.size() > wanted / 2) return;
  while (spares_.size() < wanted) {
    const LiveSession* session = spawn_session();
    if (session == nullptr) return;
    spares_.push_back(session->pid);
  }
}

bool Monitor::spawn_authenticator() {
  auto pair = ipc::Channel::pair();
  if (!pair) return false;
  AuthenticatorTask task;
  task.database = settings_.text(Opt::auth_db);
  // Only root can read the key; the process that uses it gets the descriptor and never the right to open the file.
  if (auto key = open_key(task.database); key) task.key = std::move(*key);  // a fault was told at start
  task.uid = environment_.auth_user.uid;
  task.gid = environment_.auth_user.gid;
  task.failed_login_delay_s = settings_.number(Opt::failed_login_delay);
  task.server_name = environment_.server_name;
  task.ask_database = asks_database(settings_);
  task.ask_system = !system_backends(settings_, environment_).empty();
  // A word that is none was told at start; until it is mended nothing but USER and PASS is taken.
  const auto mechanisms = parse_mechanisms(settings_.text(Opt::sasl_mechanisms));
  task.mechanisms = mechanisms ? *mechanisms : ipc::bit(ipc::LoginMechanism::password);
  task.bind_channels = settings_.boolean(Opt::channel_binding);
  task.take_certificates = !settings_.text(Opt::tls_client_ca_file).empty();
  task.penalties = open_penalties(settings_.text(Opt::state_dir) + "/penalties", environment_.auth_user);
  task.monitor = std::move(pair->second);
  const pid_t pid = fork_role("popper-auth", [&] { return roles_.authenticator(std::move(task)); });
  if (pid < 0) return false;
  AuthenticatorProcess& process = authenticators_[pid];
  process.pid = pid;
  process.channel = std::move(pair->first);
  watch(process.channel.fd(), [this, pid] { on_authenticator_message(pid); });
  return true;
}

bool Monitor::spawn_signer() {
  auto pair = ipc::Channel::pair();
  if (!pair) return false;
  SignerTask task;
  task.uid = environment_.tls_user.uid;
  task.gid = environment_.tls_user.gid;
  task.empty_root = empty_root_;
  task.ciphers = settings_.text(Opt::tls_cipher_list);
  task.only_1_2 = settings_.text(Opt::tls_version) == "tlsv1.2";
  task.only_1_3 = settings_.text(Opt::tls_version) == "tlsv1.3";
  task.monitor = std::move(pair->second);
  const pid_t pid = fork_role("popper-signer", [&] { return roles_.signer(std::move(task)); });
  if (pid < 0) return false;
  SignerProcess& process = signers_[pid];
  process.pid = pid;
  newest_signer_ = pid;
  process.channel = std::move(pair->first);
  watch(process.channel.fd(), [this, pid] { on_signer_message(pid); });
  send_tls_files(process);
  return true;
}

base::Result<MailOwner> Monitor::find_owner(std::string_view user) {
  if (!is_safe_name(user)) return base::Error{base::ErrorKind::denied, "not a name that can own a maildrop"};
  MailOwner owner;
  owner.name = user;
  const auto& state = settings_.text(Opt::state_dir);
  const auto& mail_user = environment_.mail_user;
  auto account = mail_user ? base::Result<priv::Account>{*mail_user} : priv::find_account(owner.name);
  if (!account && account.error().kind() == base::ErrorKind::not_found) return base::Error{base::ErrorKind::denied, account.error().message()};
  if (!account) return account.error();
  owner.uid = account->uid;
  owner.gid = account->gid;
  const auto blocked = static_cast<uid_t>(settings_.number(Opt::block_uid));
  if (environment_.root && (owner.uid == 0 || owner.uid <= blocked)) {
    return base::Error{base::ErrorKind::denied, fmt::format("access is blocked for uid {} (option block-uid is {})", owner.uid, blocked)};
  }
  if (!mail_user) owner.home = account->home;
  if (auto placed = place_mail(owner); !placed) return base::Error{base::ErrorKind::io, placed.error().message()};
  // u/<uid>.<name> for system users: two names with one uid have two spools, and a journal must never meet the other's. v/<name>
  // for accounts that exist in the database alone.
  const std::string parent = state + (mail_user ? "/v" : "/u");
  owner.state_folder = mail_user ? parent + "/" + owner.name : fmt::format("{}/{}.{}", parent, owner.uid, owner.name);
  for (const auto& made : {ensure_folder(parent, 0711, ::geteuid(), ::getegid()), ensure_folder(owner.state_folder, 0700, owner.uid, owner.gid)}) {
    // Our fault, not the client's: another kind than that of a refused name.
    if (!made) return base::Error{base::ErrorKind::io, made.error().message()};
  }
  return owner;
}

MaildropProcess Monitor::fork_maildrop(MaildropTask task, const char* name) {
  auto to_monitor = ipc::Channel::pair();
  if (!to_monitor) return {};
  task.settings = &settings_;
  task.server_name = environment_.server_name;
  task.administrator = ::geteuid();
  task.boot = boot_;
  task.monitor = std::move(to_monitor->second);
  const pid_t pid = fork_role(name, [&] { return roles_.maildrop(std::move(task)); });
  return pid < 0 ? MaildropProcess{} : MaildropProcess{pid, std::move(to_monitor->first)};
}

bool Monitor::wants_maildrop(std::int64_t now) const {
  return waiting_maildrop_.pid < 0 && awaits_clients() && now >= maildrop_again_ms_;
}

/// Forking costs more than all else that a login asks of the monitor, so that one process stands ready.
void Monitor::keep_maildrop_waiting() {
  MaildropTask task;
  task.waits = true;
  waiting_maildrop_ = fork_maildrop(std::move(task), "popper-waiting");
  if (waiting_maildrop_.pid < 0) maildrop_again_ms_ = clock_.monotonic_ms() + kAgainMs;
}

/// Gives the job to the process that waits; -1 when it cannot be told. A frame of its own: the pages of a deep stack are copied in each child.
[[gnu::noinline]] MaildropProcess Monitor::hire_maildrop(MaildropWork work, const MailOwner& owner, const ipc::Channel& session) {
  ipc::StartMaildrop start;
  start.work = static_cast<std::uint32_t>(work);
  start.uid = owner.uid;
  start.gid = owner.gid;
  start.name.set(owner.name);
  start.home.set(owner.home);
  start.state_folder.set(owner.state_folder);
  const bool fits = start.name.view() == owner.name && start.home.view() == owner.home && start.state_folder.view() == owner.state_folder;
  if (!fits) return {};
  const std::array<int, 1> end{session.fd()};
  if (!waiting_maildrop_.channel.send(start, end, false)) return {};  // it has died, and on_child() will say how
  return std::exchange(waiting_maildrop_, {});
}

bool Monitor::spawn_maildrop(MaildropWork work, const MailOwner& owner, LiveSession* session, unsigned tries) {
  auto to_session = ipc::Channel::pair();
  if (!to_session) return false;
  auto process = session != nullptr && waiting_maildrop_.pid >= 0 ? hire_maildrop(work, owner, to_session->second) : MaildropProcess{};
  if (process.pid < 0) {
    MaildropTask task;
    task.work = work;
    task.owner = owner;
    if (session != nullptr) task.session = std::move(to_session->second);
    process = fork_maildrop(std::move(task), "popper-maildrop");
  }
  const pid_t pid = process.pid;
  if (pid < 0) return false;
  MaildropJob& job = jobs_[pid];
  job.pid = pid;
  job.channel = std::move(process.channel);
  job.work = work;
  job.started_ms = clock_.monotonic_ms();
  job.owner = owner;
  job.owner.lock_by_link = settings_.boolean(Opt::no_atomic_open);
  job.tries = tries;
  watch(job.channel.fd(), [this, pid] { on_maildrop_message(pid); });
  if (session == nullptr) return true;
  job.session = session->pid;
  const std::array<int, 1> end{to_session->first.fd()};
  ipc::MaildropChannel opened;
  opened.user.set(owner.name);
  const auto sent = work == MaildropWork::open ? session->channel.send(opened, end, false) : session->channel.send(ipc::UpdateChannel{}, end, false);
  if (!sent) log::error("session of {}: {}", owner.name, sent.error().message());
  return true;
}

/// A maildrop that is being opened for nobody holds its locks, or waits for those of others. Its process may die at any point: whatever it
/// changes has a journal, which on_job_end() has carried out. An update was asked for, and is never ended here.
void Monitor::end_open_job(pid_t session) {
  for (auto& [pid, job] : jobs_) {
    if (job.session != session || job.work != MaildropWork::open || job.reaped || std::exchange(job.unwanted, true)) continue;
    log::info("maildrop process {} of {}: its session has gone; ended", pid, job.owner.name);
    ::kill(pid, SIGKILL);
  }
}

void Monitor::end_session(pid_t pid, bool kill) {
  const auto found = sessions_.find(pid);
  if (found == sessions_.end()) return;
  LiveSession& session = found->second;
  not_logged_in_.erase({session.started_ms, pid});
  if (kill) {
    session.told_to_end = true;
    if (session.reaped) return;  // its end is being handled
    ::kill(pid, SIGKILL);
    // Its descriptors, the session lock among them, are free once it is reaped.
    if (session.phase != Phase::spare) return;
  }
  if (session.phase != Phase::spare) {
    if (const auto block = per_block_.find(session.client.block); block != per_block_.end() && --block->second == 0) per_block_.erase(block);
  }
  std::erase(spares_, pid);
  // One that has told its end has the answer of its maildrop process, which may still write down why a spool cannot be read.
  if (!session.ended) end_open_job(pid);
  for (auto& [number, job] : jobs_) {
    if (job.session == pid) job.session = -1;  // the number may soon be that of another user's session
  }
  unwatch(session.channel.fd());
  numbers_.erase(session.id);
  sessions_.erase(found);
}

}  // namespace qpop::monitor
