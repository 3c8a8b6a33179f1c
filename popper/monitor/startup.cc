// SPDX-License-Identifier: MIT
// Checks before the server starts.
// Runs as: root, or the user who started the server.
#include "popper/monitor/startup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/base/io.h"
#include "common/base/text.h"
#include "common/priv/sandbox.h"
#include "popper/monitor/ask_server.h"
#include "popper/monitor/mechanisms.h"

namespace qpop::monitor {

namespace {

using config::Opt;
using config::Problem;
using config::Settings;

priv::Account look_up(const Settings& settings, Opt id, std::vector<Problem>& problems) {
  auto account = priv::find_account(settings.text(id));
  if (!account) {
    problems.push_back({fmt::format("{}: user {}: {}; make it, for example with: useradd --system --no-create-home --shell /usr/sbin/nologin {}",
                                    named(settings, id), settings.text(id), account.error().message(), settings.text(id))});
    return {};
  }
  if (account->uid == 0) problems.push_back({fmt::format("{}: must not be uid 0", named(settings, id))});
  return *account;
}

std::string own_host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0' ? name.data() : "localhost";
}

void check_spool_dir(const Settings& settings, std::vector<Problem>& problems) {
  const auto& path = settings.text(Opt::spool_dir);
  struct stat status {};
  const char* fault = nullptr;
  if (::stat(path.c_str(), &status) != 0) {
    fault = std::strerror(errno);
  } else if (!S_ISDIR(status.st_mode)) {
    fault = "not a folder";
  } else if (::access(path.c_str(), X_OK) != 0) {
    fault = std::strerror(errno);
  }
  if (fault != nullptr) {
    problems.push_back({fmt::format("{}: {}: {}", named(settings, Opt::spool_dir), path, fault)});
  } else if ((status.st_mode & 01002U) == 0002U) {
    problems.push_back({fmt::format("{}: {}: mode {:04o}: everybody can remove everybody's mail; chmod 1777, or 2775 with group mail",
                                    named(settings, Opt::spool_dir), path, status.st_mode & 07777U),
                        true});
  }
}

/// Writes one block, so that a full disk or a read-only file system is told at start and not at the first update.
void probe_writing(const Settings& settings, const std::string& path, std::vector<Problem>& problems) {
  const std::string probe = fmt::format("{}/probe.{}", path, ::getpid());
  base::UniqueFd fd{::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
  int failed = fd.valid() ? 0 : errno;
  if (fd.valid()) {
    const std::array<char, 4096> block{};
    if (auto written = base::write_whole(fd.get(), {block.data(), block.size()}); !written) failed = written.error().errno_value();
    if (failed == 0 && ::fsync(fd.get()) != 0) failed = errno;
    ::unlink(probe.c_str());
  }
  if (failed == 0) return;
  const bool full = failed == ENOSPC || failed == EDQUOT;
  problems.push_back({fmt::format("{}: {}: {}{}", named(settings, Opt::state_dir), path, std::strerror(failed),
                                  full ? "; mail can be read, and removed as far as no room is needed; free some space" : "; it must be writable"),
                      full});
}

/// Whether a folder that is missing could be made, without making it.
bool can_be_made(const std::string& path) {
  const auto slash = path.find_last_not_of('/') == std::string::npos ? 0 : path.rfind('/', path.find_last_not_of('/'));
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 || errno != ENOENT) return false;
  return slash != std::string::npos && ::access(slash == 0 ? "/" : path.substr(0, slash).c_str(), W_OK | X_OK) == 0;
}

void check_state_dir(const Settings& settings, std::vector<Problem>& problems, bool make) {
  const auto& path = settings.text(Opt::state_dir);
  struct stat status {};
  if (!make && can_be_made(path)) {
    problems.push_back({fmt::format("{}: {}: not there yet; made when the server starts", named(settings, Opt::state_dir), path), true});
    return;
  }
  if (make && ::mkdir(path.c_str(), 0711) == 0) ::chmod(path.c_str(), 0711);
  if (::stat(path.c_str(), &status) != 0) {
    problems.push_back({fmt::format("{}: {}: {}; make the folder, or name another", named(settings, Opt::state_dir), path, std::strerror(errno))});
    return;
  }
  if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 022U) != 0) {
    problems.push_back({fmt::format("{}: {}: must be a folder of uid {} that nobody else can write (is of uid {}, mode {:04o})",
                                    named(settings, Opt::state_dir), path, ::geteuid(), status.st_uid, status.st_mode & 07777U)});
    return;
  }
  probe_writing(settings, path, problems);
}

void check_database(const Settings& settings, const Environment& environment, std::vector<Problem>& problems) {
  const auto& path = settings.text(Opt::auth_db);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    // An installation that knows system passwords only has none.
    const bool optional = errno == ENOENT && !system_backends(settings, environment).empty();
    const int error = errno;
    const auto place = path == config::option(Opt::auth_db).preset ? std::string{} : fmt::format("-db {} ", path);
    const auto hint = optional ? std::string{"; system accounts alone can log in, and by a clear password alone"}
                      : error == ENOENT ? fmt::format("; make it with: popauth {}-init", place) : std::string{};
    problems.push_back({fmt::format("{}: {}: {}{}", named(settings, Opt::auth_db), path, std::strerror(error), hint), optional});
    return;
  }
  const uid_t owner = environment.auth_user.uid;
  if (!S_ISREG(status.st_mode)) {
    problems.push_back({fmt::format("{}: {}: not a regular file", named(settings, Opt::auth_db), path)});
  } else if (status.st_uid != owner) {
    problems.push_back({fmt::format("{}: {}: must belong to uid {}, belongs to {}; chown it", named(settings, Opt::auth_db), path, owner, status.st_uid)});
  } else if ((status.st_mode & 07777U) != 0600) {
    problems.push_back({fmt::format("{}: POP authentication DB {} has wrong mode ({:04o}); chmod 600 it", named(settings, Opt::auth_db), path,
                                    status.st_mode & 07777U)});
  }
  if (auto key = open_key(path); !key) problems.push_back({fmt::format("{}: {}; APOP is not offered", named(settings, Opt::auth_db), key.error().message()), true});
}

/// `bind`: to be told now what would keep the server from listening there.
void check_listen(const Settings& settings, std::vector<Problem>& problems, bool bind) {
  const auto& values = settings.list(Opt::listen);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto place = fmt::format("{} = \"{}\"", named(settings, Opt::listen, i), values[i]);
    auto parsed = parse_listen(values[i]);
    if (auto numeric = parsed ? check_numeric(*parsed) : base::Status{}; !numeric) parsed = numeric.error();
    if (!parsed) {
      const bool typed = settings.source(Opt::listen, i) == config::kCommandLine;
      problems.push_back({fmt::format("{}: {}{}", place, parsed.error().message(), typed ? "; popper --help lists the options" : ""), false, typed});
    } else if (bind) {
      try_to_bind(*parsed, place, problems);
    }
  }
}

/// What can be told without reading a certificate.
void check_tls(const Settings& settings, std::vector<Problem>& problems) {
  const auto& version = settings.text(Opt::tls_version);
  if (version == "sslv2" || version == "sslv3") problems.push_back({fmt::format("{}: {} is broken and not spoken by anybody; leave the line out", named(settings, Opt::tls_version), version)});
  if (version == "tlsv1" || version == "tlsv1.1") problems.push_back({fmt::format("{}: RFC 8996 forbids {}; TLS 1.2 and 1.3 are offered", named(settings, Opt::tls_version), version), true});
  if (settings.text(Opt::tls_support) == "none") {
    const auto& listen = settings.list(Opt::listen);
    const bool at_odds = std::ranges::any_of(listen, [](const std::string& text) { const auto parsed = parse_listen(text); return parsed && parsed->tls; });
    if (at_odds) problems.push_back({fmt::format("{}: a listen value begins with tls:, but this is none", named(settings, Opt::tls_support))});
    return;
  }
  for (const auto& file : tls_files(settings)) {
    for (const auto& path : {file.path, file.key_path}) {
      if (!path.empty() && !path.starts_with('/')) problems.push_back({fmt::format("{}: \"{}\" must be an absolute path", file.place, path)});
    }
  }
  if (!asks_for_tls(settings)) return;
  for (const auto& file : tls_files(settings)) {
    auto opened = open_tls_file(file.path, !file.client_authorities && file.key_path.empty());
    const bool key = opened && !file.key_path.empty();
    if (key) opened = open_tls_file(file.key_path, true);
    if (opened) continue;
    const bool missing = opened.error().kind() == base::ErrorKind::not_found && !file.client_authorities;
    const auto where = file.key_path.empty() ? fmt::format("--file {}", file.path) : fmt::format("--file {} --key-file {}", file.path, file.key_path);
    problems.push_back({fmt::format("{}: {}", key ? named(settings, Opt::tls_private_key_file) : file.place, opened.error().message()) + (missing ? fmt::format("; make one with: popcert init --host NAME {}", where) : std::string{})});
  }
}

void check_backends(const Settings& settings, const Environment& environment, std::vector<Problem>& problems) {
  const auto words = base::words(settings.text(Opt::auth_backends));
  const auto name = named(settings, Opt::auth_backends);
  if (words.empty()) problems.push_back({fmt::format("{}: names nothing; want database, pam or shadow", name)});
  for (const auto word : words) {
    if (word != "database" && word != "pam" && word != "shadow") problems.push_back({fmt::format("{}: \"{}\": want database, pam or shadow", name, word)});
  }
  if (words.empty() || asks_database(settings) || !system_backends(settings, environment).empty()) return;
  problems.push_back({fmt::format("{}: accounts exist in the database alone here (mail-user is set, or the server was not started by root)", name)});
}

void check_mechanisms(const Settings& settings, std::vector<Problem>& problems) {
  const auto parsed = parse_mechanisms(settings.text(Opt::sasl_mechanisms));
  if (!parsed) problems.push_back({fmt::format("{}: {}", named(settings, Opt::sasl_mechanisms), parsed.error().detail())});
}

void check_mail_locks(const Settings& settings, std::vector<Problem>& problems) {
  constexpr std::array<std::string_view, 5> kKnown{"dotlock", "fcntl", "flock", "lease", "none"};
  for (const auto word : base::words(settings.text(Opt::mail_locks))) {
    if (std::ranges::find(kKnown, word) != kKnown.end()) continue;
    problems.push_back({fmt::format("{}: \"{}\": want dotlock, fcntl, flock, lease or none", named(settings, Opt::mail_locks), word)});
  }
}

}  // namespace

std::string named(const Settings& settings, Opt id) {
  return fmt::format("{} ({})", config::option(id).name, settings.source(id));
}

std::string named(const Settings& settings, Opt id, std::size_t index) {
  return fmt::format("{} ({})", config::option(id).name, settings.source(id, index));
}

bool asks_database(const Settings& settings) {
  const auto words = base::words(settings.text(Opt::auth_backends));
  return std::ranges::find(words, "database") != words.end();
}

std::vector<std::string> system_backends(const Settings& settings, const Environment& environment) {
  std::vector<std::string> backends;
  if (!environment.root || environment.mail_user) return backends;
  for (const auto word : base::words(settings.text(Opt::auth_backends))) {
    if (word == "pam" || word == "shadow") backends.emplace_back(word);
  }
  return backends;
}

base::Result<base::UniqueFd> open_key(const std::string& database) {
  const std::string path = database + ".key";
  base::UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (!fd.valid()) return base::Error::from_errno(errno, "open").at("key file", path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return base::Error::from_errno(errno, "fstat").at("key file", path);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 077U) != 0) {
    return base::Error{base::ErrorKind::unsafe, fmt::format("must be a file of uid {} that nobody else can read (is of uid {}, mode {:04o})", ::geteuid(),
                                                            status.st_uid, status.st_mode & 07777U)}
        .at("key file", path);
  }
  return fd;
}

Environment look_up_environment(const Settings& settings, std::vector<Problem>& problems, Purpose purpose) {
  Environment environment;
  environment.root = ::geteuid() == 0;
  environment.server_name = settings.text(Opt::server_name).empty() ? own_host_name() : settings.text(Opt::server_name);
  if (environment.root) {
    if (purpose != Purpose::recover) {
      environment.session_user = look_up(settings, Opt::session_user, problems);
      environment.auth_user = look_up(settings, Opt::auth_user, problems);
      if (purpose != Purpose::import_numbers && offers_tls(settings)) environment.tls_user = look_up(settings, Opt::tls_user, problems);
    }
    if (settings.text(Opt::mail_user).empty()) return environment;
    environment.mail_user = look_up(settings, Opt::mail_user, problems);
    if (environment.mail_user->uid != 0 && environment.mail_user->uid <= static_cast<uid_t>(settings.number(Opt::block_uid))) {
      problems.push_back({fmt::format("{}: uid {} is kept out by block-uid ({})", named(settings, Opt::mail_user), environment.mail_user->uid,
                                      settings.number(Opt::block_uid))});
    }
    return environment;
  }
  auto own = priv::find_account(::geteuid());
  // A container may run us under a uid without a name.
  if (!own) own = priv::Account{fmt::format("uid {}", ::geteuid()), ::geteuid(), ::getegid(), "/"};
  environment.session_user = environment.auth_user = environment.tls_user = *own;
  environment.mail_user = *own;
  const auto& wanted = settings.text(Opt::mail_user);
  if (!wanted.empty() && wanted != own->name) {
    problems.push_back({fmt::format("{}: a server that is not started by root can only use its own user, {}", named(settings, Opt::mail_user), own->name)});
  }
  return environment;
}

void check_environment(const Settings& settings, const Environment& environment, std::vector<Problem>& problems, Purpose purpose) {
  for (const Opt id : {Opt::spool_dir, Opt::state_dir, Opt::auth_db, Opt::pid_file, Opt::auth_file, Opt::nonauth_file, Opt::bulldir, Opt::popbull_dir,
                       Opt::temp_dir, Opt::login_command, Opt::mail_command}) {
    const auto& path = settings.text(id);
    if (!path.empty() && !path.starts_with('/')) problems.push_back({fmt::format("{}: \"{}\" must be an absolute path", named(settings, id), path)});
  }
  check_values(settings, environment, problems);
  check_spool_dir(settings, problems);
  check_state_dir(settings, problems, purpose != Purpose::check);
  check_mail_locks(settings, problems);
  if (purpose == Purpose::recover || purpose == Purpose::import_numbers) return;
  check_backends(settings, environment, problems);
  check_mechanisms(settings, problems);
  if (asks_database(settings)) check_database(settings, environment, problems);
  check_tls(settings, problems);
  if (purpose == Purpose::check) check_places(settings, problems);
  if (auto fine = check_metrics_listen(settings.text(Opt::metrics_listen)); !fine) {
    problems.push_back({fmt::format("{}: {}", named(settings, Opt::metrics_listen), fine.error().message())});
  }
  check_listen(settings, problems, purpose == Purpose::check);
  for (const auto& feature : priv::missing_kernel_features()) {
    problems.push_back({fmt::format("this kernel lacks {}; the server works with one wall less", feature), true});
  }
}

}  // namespace qpop::monitor
