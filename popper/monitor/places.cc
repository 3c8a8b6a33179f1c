// SPDX-License-Identifier: MIT
// Folders of mail: the hashed folders below spool-dir, and where the spool of a user lies.
// Runs as: root, or the user who started the server.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/config/placement.h"
#include "common/log/log.h"
#include "popper/monitor/monitor.h"

namespace qpop::monitor {

namespace {

using base::Error;
using config::Opt;

/// One folder below `parent`, made like it when it is missing. In a spool folder that everybody may write into, somebody else may have put
/// one there: that is refused.
base::Result<base::UniqueFd> open_below(int parent, const std::string& name, const struct stat& model, bool make) {
  const auto open = [&] { return base::UniqueFd{::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)}; };
  auto fd = open();
  if (!fd.valid() && errno == ENOENT && make) {
    const bool made = ::mkdirat(parent, name.c_str(), 0700) == 0;
    if (!made && errno != EEXIST) return Error::from_errno(errno, "mkdir");
    fd = open();
    // Owner first: chown takes set-gid bits away.
    if (made && fd.valid() && (::fchown(fd.get(), model.st_uid, model.st_gid) != 0 || ::fchmod(fd.get(), model.st_mode & 07777U) != 0)) {
      return Error::from_errno(errno, "chown");
    }
  }
  if (!fd.valid()) return Error::from_errno(errno, "open");
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, "fstat");
  if (status.st_uid != model.st_uid && status.st_uid != ::geteuid()) {
    return Error{base::ErrorKind::unsafe, fmt::format("belongs to uid {}, and must belong to uid {}", status.st_uid, model.st_uid)};
  }
  return fd;
}

base::Status ensure_hash_folders(const std::string& root, std::string_view below, bool make) {
  base::UniqueFd folder{::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  struct stat model {};
  if (!folder.valid() || ::fstat(folder.get(), &model) != 0) return Error::from_errno(errno, "open").at("folder", root);
  std::string path = root;
  while (!below.empty()) {
    const std::string part{below.substr(0, below.find('/'))};
    below.remove_prefix(std::min(below.size(), part.size() + 1));
    path += "/" + part;
    auto next = open_below(folder.get(), part, model, make);
    if (!next) return next.error().at("hash-spool folder", path);
    folder = std::move(*next);
  }
  return {};
}

}  // namespace

/// Where the spool of the user lies. Folders in a home are the user's: there his own process makes do.
base::Status Monitor::place_mail(MailOwner& owner) const {
  const auto placement = config::place(settings_, owner.name, owner.home);
  owner.spool_dir = placement.spool.folder;
  owner.spool_name = placement.spool.name;
  owner.in_home = !owner.home.empty() && placement.root == owner.home;
  const bool below = placement.spool.folder.size() > placement.root.size();
  if (!below || placement.root == owner.home) return {};
  return ensure_hash_folders(placement.root, std::string_view{placement.spool.folder}.substr(placement.root.size() + 1),
                             settings_.boolean(Opt::check_hash_dir));
}

}  // namespace qpop::monitor
