// SPDX-License-Identifier: MIT
// popper: reads the command line, decides how it was started, and binds the monitor to the code of the other roles.
//
// Runs as: root, or the user who started it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <utility>

#include "common/base/text.h"
#include "common/config/command_line.h"
#include "common/config/generate.h"
#include "common/log/log.h"
#include "common/spool/context.h"
#include "popper/authenticator/authenticator.h"
#include "popper/authenticator/database_check.h"
#include "popper/checker/checker.h"
#include "popper/import_bulldb.h"
#include "popper/maildrop/maildrop.h"
#include "popper/monitor/ask_server.h"
#include "popper/monitor/monitor.h"
#include "popper/monitor/service_manager.h"
#include "popper/monitor/startup.h"
#include "popper/program/program.h"
#include "popper/resolver/resolver.h"
#include "popper/session/session.h"
#include "popper/signer/file_check.h"
#include "popper/signer/signer.h"
#include "popper/take_over.h"
#include "popper/takeover/takeover.h"

namespace {

using namespace qpop;
using config::Opt;

/// Exit codes; they stand in popper(8).
enum ExitCode { kOk = 0, kUsage = 1, kConfiguration = 2, kEnvironment = 3, kInternal = 4, kNotRecovered = 5, kDownloadsAgain = 6, kNoSession = 7 };

static_assert(monitor::kUpdateFailed == maildrop::kUpdateFailed);
static_assert(takeover::kDownloadsAgain == kDownloadsAgain && takeover::kFailed == kEnvironment);
static_assert(monitor::kNotRecovered == kNotRecovered);
static_assert(std::string_view{monitor::kJournalName} == spool::kJournalName);
static_assert(std::string_view{monitor::kJournalTemporaryName} == spool::kJournalTemporaryName);
static_assert(std::string_view{monitor::kExpungedName} == spool::kExpungedName);

monitor::Roles bind_roles() {
  monitor::Roles roles;
  // Made once, for all sessions that are forked later.
  auto tls = std::make_shared<session::TlsLink>();
  roles.prepare_tls = [tls] { return tls->prepare(); };
  roles.session = [tls](monitor::SessionTask task) { return session::run_session({task.uid, task.gid, task.empty_root, std::move(task.monitor)}, *tls); };
  roles.authenticator = [](monitor::AuthenticatorTask task) {
    return authenticator::run_authenticator({task.database, std::move(task.key), std::move(task.penalties), task.uid, task.gid,
                                             task.failed_login_delay_s, task.server_name, task.ask_database, task.ask_system, task.bind_channels, task.take_certificates, task.mechanisms,
                                             std::move(task.monitor)});
  };
  roles.signer = [](monitor::SignerTask task) {
    return signer::run_signer({task.uid, task.gid, task.empty_root, task.ciphers, task.only_1_2, task.only_1_3, std::move(task.monitor)});
  };
  roles.checker = [](monitor::CheckerTask task) {
    return checker::run_certificate_checker({std::move(task.authenticator), std::move(task.profile), task.uid, task.gid, task.empty_root});
  };
  roles.checker_starter = [](monitor::CheckerStarterTask task) {
    checker::StarterStart start{std::move(task.monitor), {}, task.honour_password_age};
    for (const auto& name : task.backends) start.backends.push_back(name == "pam" ? checker::Backend::pam : checker::Backend::shadow);
    return checker::run_checker_starter(std::move(start));
  };
  roles.program = [](monitor::ProgramTask task) {
    return program::run_program({std::move(task.command), std::move(task.arguments), std::move(task.environment), task.uid, task.gid,
                                 std::move(task.folder), std::move(task.monitor), std::move(task.session)});
  };
  roles.resolver = [](monitor::ResolverTask task) {
    return resolver::run_resolver({std::move(task.address), task.uid, task.gid, std::move(task.monitor)});
  };
  roles.maildrop = [](monitor::MaildropTask task) {
    maildrop::Job job;
    job.waits = task.waits;
    job.work = static_cast<maildrop::Work>(task.work);
    job.name = task.owner.name;
    job.uid = task.owner.uid;
    job.gid = task.owner.gid;
    job.home = task.owner.home;
    job.state_folder = task.owner.state_folder;
    job.server_name = task.server_name;
    job.settings = task.settings;
    job.administrator = task.administrator;
    job.boot = task.boot;
    job.monitor = std::move(task.monitor);
    job.session = std::move(task.session);
    return maildrop::run_maildrop(std::move(job));
  };
  return roles;
}

bool is_connected_socket(int fd, int* family) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  int listening = 0;
  socklen_t option = sizeof listening;
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &option) != 0 || listening != 0) return false;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  *family = address.ss_family;
  return true;
}

/// How the process was started, and the descriptors it was given.
struct Start {
  bool one_client = false;
  base::UniqueFd client;
  std::vector<monitor::OpenListener> passed;
  bool stderr_is_client = false;
};

bool same_file(int a, int b) {
  struct stat x {}, y {};
  return ::fstat(a, &x) == 0 && ::fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/// inetd and systemd Accept=yes hand over a connected socket; it leaves descriptors 0 to 2, so that nothing is printed to a client.
Start find_start(const config::CommandLine& line) {
  Start start;
  int family = AF_UNSPEC;
  for (const auto& socket : monitor::take_passed_sockets()) {
    if (is_connected_socket(socket.fd, &family)) {
      start.one_client = true;
      start.client.reset(socket.fd);
    } else {
      start.passed.push_back({"", base::UniqueFd{socket.fd}, socket.name == "tls" || socket.name == "pop3s"});
    }
  }
  if (start.one_client || !start.passed.empty() || line.has_addresses || line.foreground) return start;
  if (!is_connected_socket(STDIN_FILENO, &family)) return start;
  // A local socket may just be the standard input of whoever started a daemon.
  if (family == AF_UNIX && !line.settings.list(Opt::listen).empty()) return start;
  start.one_client = true;
  start.stderr_is_client = same_file(STDIN_FILENO, STDERR_FILENO);
  start.client.reset(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  const base::UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  ::dup2(null.get(), STDIN_FILENO);
  ::dup2(null.get(), STDOUT_FILENO);
  if (start.stderr_is_client) ::dup2(null.get(), STDERR_FILENO);
  return start;
}

void open_log(const config::Settings& settings, const char* ident, bool to_stderr) {
  constexpr std::array kFacilities{LOG_MAIL,   LOG_LOCAL0, LOG_LOCAL1, LOG_LOCAL2, LOG_LOCAL3,
                                   LOG_LOCAL4, LOG_LOCAL5, LOG_LOCAL6, LOG_LOCAL7};
  log::Target target;
  target.ident = ident;
  target.facility = kFacilities.at(settings.choice(Opt::log_facility));
  target.to_syslog = settings.text(Opt::log_target) == "syslog";
  target.to_stderr = to_stderr;
  // The one before stays open until the new one is in use: a line must not go to a number that means another file.
  static base::UniqueFd trace;
  const base::UniqueFd before = std::exchange(trace, base::UniqueFd{});
  const auto& path = settings.text(Opt::tracefile);
  auto opened = path.empty() ? base::Result<base::UniqueFd>{base::UniqueFd{}} : monitor::open_trace(path);
  if (opened) trace = std::move(*opened);
  target.trace_fd = trace.get();
  log::open(target);
  if (!opened) log::error("{}: {}", monitor::named(settings, Opt::tracefile), opened.error().message());
}

/// Logs all problems; true when the server may start.
bool report(const std::vector<config::Problem>& problems) {
  for (const auto& problem : problems) {
    problem.warning ? log::warning("{}", problem.text) : log::fatal("{}", problem.text);
  }
  return !config::has_errors(problems);
}

/// What the monitor, which parses no database, cannot see.
void check_database(const config::Settings& settings, const monitor::Environment& environment, std::vector<config::Problem>& problems) {
  const auto& path = settings.text(Opt::auth_db);
  if (!monitor::asks_database(settings) || ::access(path.c_str(), F_OK) != 0) return;
  const auto key = monitor::open_key(path);
  const auto found = authenticator::check_database({path, key ? key->get() : -1, environment.auth_user.uid, environment.auth_user.gid});
  const auto text = found ? *found : found.error().message();
  if (!text.empty()) problems.push_back({fmt::format("{}: {}", monitor::named(settings, Opt::auth_db), text), found.has_value()});
}

/// What is in the certificate files the monitor cannot see either.
void check_certificates(const config::Settings& settings, const monitor::Environment& environment, std::vector<config::Problem>& problems) {
  if (!monitor::offers_tls(settings)) return;
  signer::FilesToCheck what{{}, settings.text(Opt::tls_cipher_list), environment.tls_user.uid, environment.tls_user.gid};
  std::vector<base::UniqueFd> open;
  for (const auto& file : monitor::tls_files(settings)) {
    signer::FileToCheck& checked = what.files.emplace_back(signer::FileToCheck{fmt::format("{} of {}", file.path, file.place), -1, -1, file.client_authorities});
    for (const auto& [path, fd] : {std::pair{file.path, &checked.fd}, std::pair{file.key_path, &checked.key_fd}}) {
      if (path.empty()) continue;
      const bool holds_key = path == file.key_path || (file.key_path.empty() && !file.client_authorities);
      auto opened = monitor::open_tls_file(path, holds_key);
      if (!opened) return problems.push_back({fmt::format("{}: {}", file.place, opened.error().message())});
      *fd = opened->get();
      open.push_back(std::move(*opened));
    }
  }
  const auto found = signer::check_files(what);
  const auto text = found ? *found : found.error().message();
  if (!text.empty()) problems.push_back({fmt::format("TLS: {}", text), found.has_value()});
}

std::string read_what(const std::vector<std::string>& files) {
  if (files.empty()) return "no file was read: the defaults, and what the command line says; name a file with -f FILE";
  return fmt::format("read: {}", base::escape_untrusted(fmt::format("{}", fmt::join(files, ", ")), 1000));
}

/// A fault on the command line is the caller's, one in a file the administrator's; `otherwise`: of all others.
ExitCode code_of(const std::vector<config::Problem>& problems, ExitCode otherwise = kConfiguration) {
  const auto on_command_line = [](const config::Problem& problem) {
    return !problem.warning && (problem.of_command_line || problem.text.starts_with(config::kCommandLine));
  };
  return std::ranges::any_of(problems, on_command_line) ? kUsage : otherwise;
}

base::Result<std::vector<monitor::OpenListener>> open_all(const std::vector<std::string>& texts) {
  std::vector<monitor::OpenListener> listeners;
  for (const auto& text : texts) {
    auto address = monitor::parse_listen(text);
    if (!address) return address.error().at("listen", text);
    auto opened = monitor::open_listeners(*address);
    if (!opened) return opened.error().at("listen", text);
    for (auto& fd : *opened) listeners.push_back({text, std::move(fd), address->tls});
  }
  return listeners;
}

/// Held open and locked as long as the server lives.
base::Result<base::UniqueFd> open_pid_file(const std::string& path) {
  base::UniqueFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644)};
  if (!fd.valid()) return base::Error::from_errno(errno, "open").at("pid-file", path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return base::Error{base::ErrorKind::busy, "another server holds it"}.at("pid-file", path);
  return fd;
}

base::Status write_pid(const base::UniqueFd& file, const std::string& path) {
  const auto text = fmt::format("{}\n", ::getpid());
  if (::ftruncate(file.get(), 0) != 0 || ::pwrite(file.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return base::Error::from_errno(errno, "write").at("pid-file", path);
  }
  return {};
}

void go_to_background(bool keep_stderr) {
  const pid_t pid = ::fork();
  if (pid != 0) ::_exit(pid < 0 ? kInternal : kOk);
  // The working folder stays: -f may name a file in it, and is read again at SIGHUP.
  ::setsid();
  const base::UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  ::dup2(null.get(), STDIN_FILENO);
  ::dup2(null.get(), STDOUT_FILENO);
  if (!keep_stderr) ::dup2(null.get(), STDERR_FILENO);
}

class Program {
 public:
  Program(std::vector<std::string> arguments, const char* ident) : arguments_(std::move(arguments)), ident_(ident) {}
  int run();

 private:
  int check();
  int recover();
  int ask(ipc::ControlVerb verb);
  int take_over();
  int serve_one(Start start);
  int serve(Start start);
  std::optional<config::Settings> reload();

  std::vector<std::string> arguments_;
  const char* ident_;
  config::CommandLine line_;
};

int Program::run() {
  line_ = config::read_command_line(arguments_);
  if (line_.action == config::Action::help) {
    fmt::print("{}", config::help_text());
    return kOk;
  }
  if (line_.action == config::Action::version) {
    fmt::print("Qpopper version " QPOP_VERSION "\n");
    return kOk;
  }
  if (line_.action == config::Action::check || line_.action == config::Action::print_config) return check();
  if (line_.action == config::Action::recover) return recover();
  if (line_.action == config::Action::compare_uidl || line_.action == config::Action::import_uidl ||
      line_.action == config::Action::import_bulldb) {
    return take_over();
  }
  if (line_.action == config::Action::who) return ask(ipc::ControlVerb::who);
  if (line_.action == config::Action::kick) return ask(ipc::ControlVerb::kick);
  if (line_.action == config::Action::metrics) return ask(ipc::ControlVerb::metrics);
  Start start = find_start(line_);
  return start.one_client ? serve_one(std::move(start)) : serve(std::move(start));
}

int Program::ask(ipc::ControlVerb verb) {
  log::open({ident_, 0, false, true});
  if (!report(line_.problems)) return code_of(line_.problems);
  const auto answer = monitor::ask_server(monitor::control_path(line_.settings), verb, line_.kick_user);
  if (!answer) {
    log::fatal("{}", answer.error().message());
    return kEnvironment;
  }
  if (verb == ipc::ControlVerb::kick && answer->empty()) {
    log::error("no session of user {}", base::escape_word(line_.kick_user, 80));
    return kNoSession;
  }
  fmt::print("{}", *answer);
  return kOk;
}

int Program::check() {
  log::open({ident_, 0, false, true});
  const bool sound = report(line_.problems);
  if (line_.action == config::Action::print_config) {
    fmt::print("{}", config::effective_text(line_.settings));
    return sound ? kOk : code_of(line_.problems);
  }
  // All of it at once: what is at fault in a file keeps its default here.
  std::vector<config::Problem> problems;
  const auto environment = monitor::look_up_environment(line_.settings, problems, monitor::Purpose::check);
  monitor::check_environment(line_.settings, environment, problems, monitor::Purpose::check);
  if (!config::has_errors(problems)) check_database(line_.settings, environment, problems);
  if (!config::has_errors(problems)) check_certificates(line_.settings, environment, problems);
  const bool fits = report(problems);
  if (!sound) return code_of(line_.problems);
  if (fits) fmt::print("configuration is sound ({})\n", read_what(line_.files));
  return fits ? kOk : code_of(problems, kEnvironment);
}

int Program::recover() {
  // Until the folders are known to be right, the administrator is at the terminal.
  open_log(line_.settings, ident_, true);
  if (!report(line_.problems)) return code_of(line_.problems);
  std::vector<config::Problem> problems;
  const auto environment = monitor::look_up_environment(line_.settings, problems, monitor::Purpose::recover);
  monitor::check_environment(line_.settings, environment, problems, monitor::Purpose::recover);
  if (!report(problems)) return kEnvironment;
  open_log(line_.settings, ident_, line_.foreground || line_.settings.text(Opt::log_target) == "stderr");
  monitor::Monitor monitor{line_.settings, environment, bind_roles(), [] { return std::nullopt; }};
  return monitor.recover(line_.recover_user);
}

/// Reads a password from the terminal, or a line of standard input.
std::string ask_password(const std::string& user, const std::string& server) {
  termios before{};
  const bool terminal = ::tcgetattr(STDIN_FILENO, &before) == 0;
  if (terminal) {
    fmt::print(stderr, "Password of {} at {}: ", user, server);
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  std::string password;
  for (char c = 0; password.size() < 255 && ::read(STDIN_FILENO, &c, 1) == 1 && c != '\n';) password += c;
  if (terminal) {
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fmt::print(stderr, "\n");
  }
  return password;
}

int Program::take_over() {
  log::open({ident_, 0, false, true});
  if (!report(line_.problems)) return code_of(line_.problems);
  std::vector<config::Problem> problems;
  // A database is parsed by the users that parse others; unique-ids need the owner of the mail alone.
  const bool numbers = line_.action == config::Action::import_bulldb;
  const auto purpose = numbers ? monitor::Purpose::import_numbers : monitor::Purpose::recover;
  const auto environment = monitor::look_up_environment(line_.settings, problems, purpose);
  monitor::check_environment(line_.settings, environment, problems, purpose);
  if (!report(problems)) return kEnvironment;
  ::umask(077);
  if (numbers) return import_bulldb(line_.settings, environment, line_.bulldb);
  monitor::Monitor monitor{line_.settings, environment, bind_roles(), [] { return std::nullopt; }};
  const auto owner = monitor.find_owner(line_.uidl_user);
  if (!owner) {
    log::fatal("{}: {}", line_.uidl_user, owner.error().message());
    return kEnvironment;
  }
  takeover::Task task;
  task.import = line_.action == config::Action::import_uidl;
  task.against = line_.against;
  // The caller's right to read it counts, not the user's.
  task.file.reset(::open(line_.against.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!task.file.valid()) task.password = ask_password(line_.uidl_user, line_.against);
  task.job.name = owner->name;
  task.job.uid = owner->uid;
  task.job.gid = owner->gid;
  task.job.home = owner->home;
  task.job.state_folder = owner->state_folder;
  task.job.settings = &line_.settings;
  task.job.administrator = ::geteuid();
  return qpop::take_over(std::move(task), *owner, line_.settings.boolean(Opt::no_atomic_open));
}

int Program::serve_one(Start start) {
  open_log(line_.settings, ident_, !start.stderr_is_client && line_.settings.text(Opt::log_target) == "stderr");
  std::vector<config::Problem> problems = line_.problems;
  const bool readable = !config::has_errors(problems);
  const auto environment = monitor::look_up_environment(line_.settings, problems);
  if (readable) monitor::check_environment(line_.settings, environment, problems);
  if (!report(problems)) {
    constexpr std::string_view kAnswer = "-ERR [SYS/PERM] Server configuration is at fault; contact your administrator\r\n";
    ::send(start.client.get(), kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
    return readable ? kEnvironment : code_of(line_.problems);
  }
  monitor::Monitor monitor{line_.settings, environment, bind_roles(), [] { return std::nullopt; }};
  return monitor.serve_one(std::move(start.client));
}

std::optional<config::Settings> Program::reload() {
  auto fresh = config::read_command_line(arguments_);
  if (!report(fresh.problems)) return std::nullopt;
  // The trace file may have been moved away.
  open_log(fresh.settings, ident_, line_.foreground || fresh.settings.text(Opt::log_target) == "stderr");
  return std::move(fresh.settings);
}

int Program::serve(Start start) {
  const bool log_stderr = line_.settings.text(Opt::log_target) == "stderr";
  // Until it serves, the administrator is at the terminal.
  open_log(line_.settings, ident_, true);
  if (!report(line_.problems)) return code_of(line_.problems);
  if (start.passed.empty() && line_.settings.list(Opt::listen).empty()) {
    log::fatal("standard input is no client's socket and no address is given; name one, for example popper 110, or set listen in a configuration file");
    return kUsage;
  }
  std::vector<config::Problem> problems;
  const auto environment = monitor::look_up_environment(line_.settings, problems);
  monitor::check_environment(line_.settings, environment, problems);
  if (!report(problems)) return code_of(problems, kEnvironment);
  if (start.passed.empty()) {
    auto opened = open_all(line_.settings.list(Opt::listen));
    if (!opened) {
      log::fatal("{}", opened.error().message());
      return kEnvironment;
    }
    start.passed = std::move(*opened);
  }
  base::UniqueFd pid_file;
  const auto& pid_path = line_.settings.text(Opt::pid_file);
  if (!pid_path.empty()) {
    auto opened = open_pid_file(pid_path);
    if (!opened) {
      log::fatal("{}", opened.error().message());
      return kEnvironment;
    }
    pid_file = std::move(*opened);
  }
  if (!line_.foreground) go_to_background(log_stderr);
  open_log(line_.settings, ident_, log_stderr || line_.foreground);
  if (pid_file.valid()) {
    if (auto written = write_pid(pid_file, pid_path); !written) {
      log::fatal("{}", written.error().message());
      return kEnvironment;
    }
  }
  monitor::Monitor monitor{line_.settings, environment, bind_roles(), [this] { return reload(); }};
  const int code = monitor.serve(std::move(start.passed));
  if (pid_file.valid()) ::unlink(pid_path.c_str());
  return code;
}

/// The last part of argv[0]; log watchers filter on it.
const char* base_name(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Program program{{argv + std::min(argc, 1), argv + argc}, argc > 0 ? base_name(argv[0]) : "popper"};
    return program.run();
  } catch (const std::exception& error) {
    log::fatal("{}", error.what());
    return kInternal;
  }
}
