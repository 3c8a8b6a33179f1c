// SPDX-License-Identifier: MIT
// Values of options that only a look at the system can judge.
// Runs as: root, or the user who started the server.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/config/placement.h"
#include "popper/monitor/access.h"
#include "popper/monitor/login_line.h"
#include "popper/monitor/startup.h"

namespace qpop::monitor {

namespace {

using base::Error;
using config::Opt;
using config::Problem;
using config::Settings;

void check_program(const Settings& settings, Opt id, std::vector<Problem>& problems) {
  const auto& command = settings.text(id);
  if (command.empty() || !command.starts_with('/')) return;  // the caller tells of a path that is not absolute
  const auto path = command.substr(0, command.find(' '));
  const auto fault = [&](const std::string& text, bool warning) { problems.push_back({fmt::format("{}: {}: {}", named(settings, id), path, text), warning}); };
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return fault(std::strerror(errno), true);
  if (!S_ISREG(status.st_mode) || (status.st_mode & 0111U) == 0) return fault("not a program", false);
  if ((status.st_mode & 002U) != 0) return fault(fmt::format("mode {:04o}: everybody can change it", status.st_mode & 07777U), false);
}

void check_bulletins(const Settings& settings, std::vector<Problem>& problems) {
  const auto& path = settings.text(Opt::bulldir);
  if (path.empty() || !path.starts_with('/')) return;
  struct stat status {};
  const auto fault = [&](const std::string& text, bool warning) { problems.push_back({fmt::format("{}: {}: {}", named(settings, Opt::bulldir), path, text), warning}); };
  if (::stat(path.c_str(), &status) != 0) return fault(std::strerror(errno), true);
  if (!S_ISDIR(status.st_mode)) return fault("not a folder", false);
  if ((status.st_mode & 002U) != 0) return fault(fmt::format("mode {:04o}: everybody could send mail to all users", status.st_mode & 07777U), true);
}

/// A file of names that cannot be read keeps everybody out.
void check_name_file(const Settings& settings, Opt id, std::vector<Problem>& problems) {
  const auto& path = settings.text(id);
  if (path.empty() || !path.starts_with('/')) return;
  NameFile file;
  if (auto found = file.contains(path, ""); !found) {
    problems.push_back({fmt::format("{}: {}; nobody can log in", named(settings, id), found.error().message()), true});
  }
}

void check_names(const Settings& settings, const Environment& environment, std::vector<Problem>& problems) {
  const auto& in_home = settings.text(Opt::home_dir_mail);
  if (!in_home.empty() && !config::is_file_name(in_home)) {
    problems.push_back({fmt::format("{}: \"{}\": want a plain file name", named(settings, Opt::home_dir_mail), in_home)});
  } else if (!in_home.empty() && environment.mail_user) {
    problems.push_back({fmt::format("{}: accounts exist in the database alone here, and have no home (mail-user is set, or the server was not started by root)",
                                    named(settings, Opt::home_dir_mail))});
  }
  const auto& pattern = settings.text(Opt::temp_name);
  if (config::expand_name(pattern, "u").empty()) {
    problems.push_back({fmt::format("{}: \"{}\": want a file name with one %s in it", named(settings, Opt::temp_name), pattern)});
  }
  if (auto line = login_line(settings.text(Opt::log_login), {}); !line) {
    problems.push_back({fmt::format("{}: {}", named(settings, Opt::log_login), line.error().detail())});
  }
}

}  // namespace

base::Result<base::UniqueFd> open_trace(const std::string& path, bool make) {
  if (!path.starts_with('/')) return Error{base::ErrorKind::malformed, "must be an absolute path"}.at("trace file", path);
  base::UniqueFd fd{::open(path.c_str(), O_WRONLY | O_APPEND | (make ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600)};
  if (!fd.valid()) return Error::from_errno(errno, "open").at("trace file", path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, "fstat").at("trace file", path);
  const bool ours = S_ISREG(status.st_mode) && status.st_uid == ::geteuid() && status.st_nlink == 1 && (status.st_mode & 022U) == 0;
  if (ours) return fd;
  return Error{base::ErrorKind::unsafe, fmt::format("must be a regular file of uid {} that nobody else can write (is of uid {}, mode {:04o}, {} links)",
                                                    ::geteuid(), status.st_uid, status.st_mode & 07777U, status.st_nlink)}
      .at("trace file", path);
}

void check_values(const Settings& settings, const Environment& environment, std::vector<Problem>& problems) {
  check_names(settings, environment, problems);
  check_bulletins(settings, problems);
  check_name_file(settings, Opt::auth_file, problems);
  check_name_file(settings, Opt::nonauth_file, problems);
  check_program(settings, Opt::mail_command, problems);
  check_program(settings, Opt::login_command, problems);
  // A warning: whoever can put a file there must not be able to stop the server.
  const auto& trace = settings.text(Opt::tracefile);
  if (!trace.empty()) {
    const auto opened = open_trace(trace, false);
    const bool missing = !opened && opened.error().kind() == base::ErrorKind::not_found;
    if (!opened && !missing) problems.push_back({fmt::format("{}: {}", named(settings, Opt::tracefile), opened.error().message()), true});
  }
}

}  // namespace qpop::monitor
