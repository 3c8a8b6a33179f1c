// SPDX-License-Identifier: MIT
// Files of names and the list of shells.
// Runs as: root, or the user who started the server.
#include "popper/monitor/access.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/base/io.h"
#include "common/base/unique_fd.h"

namespace qpop::monitor {

namespace {

using base::Error;
using base::ErrorKind;

constexpr std::size_t kMostOctets = 16UL << 20;
constexpr std::string_view kAnyShell = "/POPPER/ANY/SHELL/";

}  // namespace

base::Status NameFile::refresh(const std::string& path) {
  const base::UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!fd.valid()) return Error::from_errno(errno, "open");
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, "fstat");
  const bool ours = status.st_uid == 0 || status.st_uid == ::geteuid();
  if (!S_ISREG(status.st_mode) || !ours || (status.st_mode & 022U) != 0) {
    return Error{ErrorKind::unsafe, "must be a file of root that nobody else can write"};
  }
  const Seen now{path, status.st_dev, status.st_ino, status.st_size, status.st_ctim.tv_sec * 1'000'000'000LL + status.st_ctim.tv_nsec};
  if (now == seen_) return {};
  auto content = base::read_whole(fd.get(), kMostOctets);
  if (!content && content.error().kind() == ErrorKind::limit) return Error{ErrorKind::limit, "longer than 16 MiB"};
  if (!content) return content.error();
  names_.clear();
  std::string_view rest = *content;
  while (!rest.empty()) {
    auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) names_.emplace(line);
  }
  seen_ = now;
  return {};
}

base::Result<bool> NameFile::contains(const std::string& path, std::string_view name) {
  if (auto fresh = refresh(path); !fresh) {
    seen_ = {};
    return fresh.error().at("file of names", path);
  }
  return names_.contains(name);
}

bool is_login_shell(std::string_view shell) {
  if (shell.empty()) shell = "/bin/sh";
  bool found = false;
  ::setusershell();
  while (const char* listed = ::getusershell()) {
    if (listed == shell || listed == kAnyShell) found = true;
  }
  ::endusershell();
  return found;
}

}  // namespace qpop::monitor
