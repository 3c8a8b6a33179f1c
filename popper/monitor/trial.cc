// SPDX-License-Identifier: MIT
// What popper --check tries beyond what a start checks, because a start would only then run into it. Makes nothing, and leaves alone what is there.
// Runs as: root, or the user who started the server.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "popper/monitor/ask_server.h"
#include "popper/monitor/startup.h"

namespace qpop::monitor {

namespace {

using config::Opt;
using config::Problem;
using config::Settings;

/// Why no file can be made in the folder of `path`; "" when one can. A file that is there has its own checks.
std::string fault_of_folder(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == 0 ? "/" : path.substr(0, slash);
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0) return fmt::format("folder {}: {}", folder, std::strerror(errno));
  if (!S_ISDIR(status.st_mode)) return fmt::format("{} is not a folder", folder);
  const bool there = ::lstat(path.c_str(), &status) == 0;
  if (there && S_ISDIR(status.st_mode)) return fmt::format("{} is a folder", path);
  if (!there && ::access(folder.c_str(), W_OK | X_OK) != 0) return fmt::format("folder {}: {}", folder, std::strerror(errno));
  return {};
}

void check_place(const Settings& settings, Opt id, std::string_view consequence, bool warning, std::vector<Problem>& problems) {
  const auto& path = settings.text(id);
  if (!path.starts_with('/')) return;  // none, an address, or a path that is refused elsewhere
  const auto fault = fault_of_folder(path);
  if (!fault.empty()) problems.push_back({fmt::format("{}: {}; {}", named(settings, id), fault, consequence), warning});
}

}  // namespace

void try_to_bind(const ListenAddress& address, const std::string& place, std::vector<Problem>& problems) {
  const auto bound = check_bindable(address);
  if (bound) return;
  const int error = bound.error().errno_value();
  // Who checks need not be who starts it.
  const bool wants_root = (error == EACCES || error == EPERM) && address.port < 1024;
  const std::string_view hint = error == EADDRNOTAVAIL ? "; this host does not have the address" : wants_root ? "; ports below 1024 are root's" : "";
  problems.push_back({fmt::format("{}: {}{}", place, bound.error().message(), hint), wants_root});
}

void check_places(const Settings& settings, std::vector<Problem>& problems) {
  check_place(settings, Opt::pid_file, "the server will not start", false, problems);
  check_place(settings, Opt::tracefile, "the server will run without it", true, problems);
  check_place(settings, Opt::metrics_listen, "the server will run without it", true, problems);
  const auto& metrics = settings.text(Opt::metrics_listen);
  if (metrics.empty() || metrics.starts_with('/') || !check_metrics_listen(metrics)) return;
  if (const auto address = parse_listen(metrics); address) try_to_bind(*address, fmt::format("{} = \"{}\"", named(settings, Opt::metrics_listen), metrics), problems);
}

}  // namespace qpop::monitor
