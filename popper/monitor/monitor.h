// SPDX-License-Identifier: MIT
// The monitor: accepts clients, hands each to a process without rights, forks every other role, keeps the limits.
//
// Runs as: root, or the user who started the server. It parses no byte from the network, from mail or from the database; what
// reaches it are the fixed structs of common/ipc/messages.h, each checked against the request table.
#pragma once

#include <sys/types.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/config/settings.h"
#include "common/priv/drop.h"
#include "popper/monitor/access.h"
#include "popper/monitor/live_session.h"
#include "popper/monitor/metrics.h"
#include "popper/monitor/own_memory.h"
#include "popper/monitor/recover.h"
#include "popper/monitor/roles.h"
#include "popper/monitor/tls_files.h"

namespace qpop::monitor {

/// Users and folders that follow from the settings; looked up once at start and at each reload.
struct Environment {
  bool root = false;
  priv::Account session_user;
  priv::Account auth_user;
  priv::Account tls_user;  ///< of the signer; only where TLS is offered
  std::optional<priv::Account> mail_user;  ///< owner of all maildrops; always set when not root
  std::string server_name;
};

class Monitor {
 public:
  /// `reload` gives fresh settings after SIGHUP, or nothing when they are at fault (already logged).
  using Reload = std::function<std::optional<config::Settings>()>;

  Monitor(config::Settings settings, Environment environment, Roles roles, Reload reload);
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  ~Monitor();

  /// Serves listening sockets until SIGTERM.
  int serve(std::vector<OpenListener>&& listeners);
  /// Serves one client that is connected already (inetd, systemd Accept=yes) and returns when it is gone.
  int serve_one(base::UniqueFd client);
  /// Completes interrupted updates of one user, or of all when `user` is empty, and reports on standard output. 0, or kNotRecovered.
  int recover(const std::string& user);
  /// The account and where its mail lies; makes its state folder. Errors: denied (no such account, or kept out), io.
  [[nodiscard]] base::Result<MailOwner> find_owner(std::string_view user);

 private:
  // monitor.cc: loop, signals, ends
  base::Status prepare_loop();
  base::Status prepare();
  int loop();
  [[nodiscard]] int wait_ms(std::int64_t now) const;
  void open_to_clients(OpenListener listener);
  void watch(int fd, const std::function<void()>& handler);
  void unwatch(int fd);
  void on_signal();
  void on_child(pid_t pid, int status);
  void on_job_end(const MaildropJob& job, bool killed, int exit_code, const std::string& how);
  void reload_settings();
  bool take_settings(config::Settings&& fresh);
  void replace_listeners(const std::vector<std::string>& wanted);
  void begin_shutdown();
  void check_deadlines();
  void end_stuck_jobs(std::int64_t now);
  void end_overdue_logins(std::int64_t now);
  [[nodiscard]] bool finished() const;

  // clients.cc: accepting and limits
  void on_accept(int listener, bool tls);
  void watch_listener(const OpenListener& listener);
  void admit(base::UniqueFd client, const ClientAddress& address, bool tls_at_once);
  void log_refusal(const ClientAddress& address, const char* reason);
  [[nodiscard]] const char* reason_to_refuse(const ClientAddress& address);
  void make_room_for_login();
  void hand_over(LiveSession& session, base::UniqueFd client, const ClientAddress& address, bool tls_at_once);
  void pause_accepting(const char* why);
  [[nodiscard]] bool clear_text_allowed(const ClientAddress& address) const;

  // spawn.cc: children
  pid_t fork_role(const char* name, const std::function<int()>& run);
  LiveSession* spawn_session();
  void refill_spares(bool quiet);
  bool spawn_authenticator();
  bool spawn_signer();
  bool spawn_maildrop(MaildropWork work, const MailOwner& owner, LiveSession* session, unsigned tries = 0);
  MaildropProcess fork_maildrop(MaildropTask task, const char* name);
  MaildropProcess hire_maildrop(MaildropWork work, const MailOwner& owner, const ipc::Channel& session);
  [[nodiscard]] bool awaits_clients() const { return recovery_ == nullptr && !single_ && !stopping_; }
  [[nodiscard]] bool wants_maildrop(std::int64_t now) const;
  void keep_maildrop_waiting();
  void end_session(pid_t pid, bool kill);
  void end_open_job(pid_t session);

  // tls.cc: certificates and the process that has their keys
  base::Status prepare_tls();
  void watch_tls_files();
  void look_at_tls_files(std::int64_t now);
  [[nodiscard]] int tls_wait_ms(std::int64_t now) const;
  void renew_tls();
  void reload_tls();
  void send_tls_files(SignerProcess& signer);
  void on_signer_message(pid_t pid);
  void on_signer_frame(SignerProcess& signer, base::Result<ipc::Frame>& frame);
  void on_profile_ready(SignerProcess& signer, const ipc::ProfileReady& ready, ipc::Frame& frame);
  bool on_signer_end(pid_t pid, const std::string& how);
  [[nodiscard]] std::optional<ipc::Channel> attach_to_signer();
  [[nodiscard]] bool speaks_tls_at_once(bool tls_listener) const;
  static void log_tls_started(const LiveSession& session, const ipc::TlsStarted& started);
  // helpers.cc: programs and names
  pid_t keep_helper(pid_t pid, ipc::Channel channel, const ipc::SessionId& session);
  void on_helper_message(pid_t pid);
  bool on_helper_end(pid_t pid);
  void look_up_name(const LiveSession& session);
  void run_login_command(const LiveSession& session);
  void on_request_submit(LiveSession& session, const ipc::Frame& frame);

  // places.cc
  [[nodiscard]] base::Status place_mail(MailOwner& owner) const;

  // control.cc: questions to a running server
  void open_control();
  void open_metrics_socket();
  void close_control();
  void close_metrics_socket();
  void forget_asker(int fd);
  void on_control_connect();
  void on_control_request(int fd);
  void on_metrics_connect();
  void end_late_askers(std::int64_t now);
  [[nodiscard]] std::string who() const;
  std::string kick(std::string_view user);
  [[nodiscard]] Gauges gauges() const;

  // recover.cc: popper --recover
  base::Status find_journals(std::string_view user);
  base::Result<MailOwner> owner_of_folder(const std::string& parent, const std::string& entry);
  static std::string maildrop_name(std::string_view parent, const std::string& entry);
  void report_without_journal(const std::string& user);
  void report_recovery(const RecoveryRun::Item& item, ipc::RecoveryOutcome outcome, const std::string& text);
  void start_recoveries();
  void on_recovery_end(const MaildropJob& job, const std::string& how);

  // requests.cc: messages from less privileged processes
  void on_session_message(pid_t pid);
  void on_maildrop_message(pid_t pid);
  void on_authenticator_message(pid_t pid);
  void hear_authenticator(pid_t pid);
  void on_request_update(LiveSession& session, const ipc::Frame& frame);
  void on_report(LiveSession& session, const ipc::Frame& frame);
  void on_tls_started(LiveSession& session, const ipc::Frame& frame);
  void on_ended(LiveSession& session, const ipc::Frame& frame);
  void count_end(const LiveSession& session);
  void on_log_line(const ipc::Frame& frame, pid_t from, unsigned count);
  void on_dotlock(MaildropJob& job, const ipc::Frame& frame);
  void on_recovered(MaildropJob& job, const ipc::Frame& frame);
  void on_user_settings(MaildropJob& job, const ipc::Frame& frame);
  LiveSession* find_session(const ipc::SessionId& id);

  // logins.cc: what the authenticator says of a session
  void on_login_accepted(const ipc::Channel& authenticator, const ipc::LoginAccepted& message);
  void on_login_failed(const ipc::LoginFailed& message);
  void log_login(const LiveSession& session);
  void log_timing(const LiveSession& session);
  void log_failed_login(const LiveSession& session, std::string_view user, std::string_view reason, ipc::LoginMechanism mechanism);
  [[nodiscard]] base::Status check_rules(std::string_view user);

  // checkers.cc: who asks the system about a password, and who judges a certificate
  void on_request_checker(const ipc::Channel& authenticator, const ipc::RequestChecker& message);
  base::Result<ipc::Channel> spawn_certificate_checker();
  base::Result<ipc::Channel> start_checker(const LiveSession& session);
  bool spawn_checker_starter();
  void retire_checker_starter();
  void end_late_checkers(std::int64_t now);
  void end_checkers();
  friend struct RequestTable;
  friend struct JobRequestTable;

  config::Settings settings_;
  Environment environment_;
  Roles roles_;
  Reload reload_;
  mutable base::SystemClock clock_;
  Counters counters_;
  std::int64_t started_ms_ = 0;
  struct Asker {
    base::UniqueFd fd;
    std::int64_t deadline_ms = 0;
    bool administrator = false;  ///< by the control socket
  };
  base::UniqueFd control_, metrics_;
  std::string metrics_path_;  ///< "" for an address
  std::size_t administrators_ = 0;
  std::map<int, Asker> askers_;
  base::UniqueFd epoll_;
  base::UniqueFd signals_;
  OwnMemory memory_;  ///< of the containers below that grow with the number of clients
  std::pmr::map<int, std::shared_ptr<std::function<void()>>> watches_{memory_.get()};
  std::vector<OpenListener> listeners_;
  std::pmr::map<pid_t, LiveSession> sessions_{memory_.get()};
  std::pmr::map<pid_t, MaildropJob> jobs_{memory_.get()};
  std::map<pid_t, AuthenticatorProcess> authenticators_;
  std::map<pid_t, CheckerProcess> checkers_;
  CheckerStarterProcess checker_starter_;
  std::map<pid_t, SignerProcess> signers_;
  pid_t newest_signer_ = -1;
  TlsProfile profile_;
  FileWatch tls_watch_;
  std::int64_t tls_look_ms_ = 0;         ///< when the files are looked at next; 0: they are not
  std::int64_t tls_first_event_ms_ = 0;  ///< since when something is going on in their folders; 0: nothing
  std::int64_t signer_again_ms_ = 0;     ///< 0: none is wanted
  std::pmr::map<pid_t, HelperProcess> helpers_{memory_.get()};
  NameFile allowed_names_;  ///< auth-file
  NameFile refused_names_;  ///< nonauth-file
  std::deque<pid_t> spares_;
  std::pmr::map<ipc::SessionId, pid_t> numbers_{memory_.get()};  ///< process of each session
  std::pmr::set<std::pair<std::int64_t, pid_t>> not_logged_in_{memory_.get()};  ///< since when, and its process; without those that have been told to end
  std::pmr::map<std::string, unsigned> per_block_{memory_.get()};
  std::string empty_root_;
  std::uint64_t boot_ = 0;  ///< which run of the kernel this is; 0: unknown
  std::unique_ptr<RecoveryRun> recovery_;  ///< only under recover()
  bool single_ = false;
  bool stopping_ = false;
  std::int64_t stop_deadline_ms_ = 0;
  std::int64_t accept_again_ms_ = 0;
  std::int64_t authenticator_again_ms_ = 0;
  std::int64_t spares_again_ms_ = 0;
  MaildropProcess waiting_maildrop_;  ///< for the next job
  std::int64_t maildrop_again_ms_ = 0;
  std::int64_t refusals_logged_ms_ = 0;
  std::uint64_t refusals_ = 0;
};

/// Names that become a file name: the grammar of user names, checked here again because it came from a less privileged process.
[[nodiscard]] bool is_safe_name(std::string_view name);

}  // namespace qpop::monitor
