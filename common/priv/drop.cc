// SPDX-License-Identifier: MIT
// Giving up rights for good, with proof.
// Runs as: root before the drop, the given user after it.
#include "common/priv/drop.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "common/base/text.h"
#include "common/base/unique_fd.h"

namespace qpop::priv {

namespace {

using base::Error;
using base::ErrorKind;

Account to_account(const passwd& entry) { return {entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell}; }

base::Status prove_dropped(uid_t uid, gid_t gid) {
  std::array<uid_t, 3> uids{};
  std::array<gid_t, 3> gids{};
  ::getresuid(&uids[0], &uids[1], &uids[2]);
  ::getresgid(&gids[0], &gids[1], &gids[2]);
  const bool uids_ok = std::ranges::all_of(uids, [&](uid_t id) { return id == uid; });
  const bool gids_ok = std::ranges::all_of(gids, [&](gid_t id) { return id == gid; });
  if (!uids_ok || !gids_ok) return Error{ErrorKind::denied, "drop of privileges: ids are not what was asked for"};
  if (uid != 0 && (::setuid(0) == 0 || ::seteuid(0) == 0)) {
    return Error{ErrorKind::denied, "drop of privileges: uid 0 could be taken back"};
  }
  return {};
}

}  // namespace

base::Result<Account> find_account(const std::string& name) {
  errno = 0;
  if (const passwd* entry = ::getpwnam(name.c_str()); entry != nullptr) return to_account(*entry);
  if (errno != 0 && errno != ENOENT) return Error::from_errno(errno, "getpwnam");
  return Error{ErrorKind::not_found, "no such system user"};
}

base::Result<Account> find_account(uid_t uid) {
  errno = 0;
  if (const passwd* entry = ::getpwuid(uid); entry != nullptr) return to_account(*entry);
  return Error{ErrorKind::not_found, "no system user with this uid"};
}

base::Status drop_to(uid_t uid, gid_t gid) {
  if (::geteuid() == 0) {
    if (::setgroups(1, &gid) != 0) return Error::from_errno(errno, "setgroups");
    if (::setresgid(gid, gid, gid) != 0) return Error::from_errno(errno, "setresgid");
    if (::setresuid(uid, uid, uid) != 0) return Error::from_errno(errno, "setresuid");
    if (::getgroups(0, nullptr) != 1) return Error{ErrorKind::denied, "drop of privileges: other groups are left"};
    return prove_dropped(uid, gid);
  }
  if (::getuid() != uid) return Error{ErrorKind::denied, "cannot become another user without being root"};
  return prove_dropped(uid, ::getgid());
}

base::Status enter_empty_root(const std::string& folder) {
  base::UniqueFd fd{::open(folder.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd.valid()) return Error::from_errno(errno, "open").at("empty root", folder);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, "fstat").at("empty root", folder);
  if (status.st_uid != 0 || (status.st_mode & 022U) != 0) {
    return Error{ErrorKind::unsafe, "must belong to root and be writable by nobody else"}.at("empty root", folder);
  }
  if (::fchdir(fd.get()) != 0) return Error::from_errno(errno, "fchdir").at("empty root", folder);
  if (::chroot(".") != 0) return Error::from_errno(errno, "chroot").at("empty root", folder);
  if (::chdir("/") != 0) return Error::from_errno(errno, "chdir").at("empty root", folder);
  return {};
}

base::Status harden_process() {
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) return Error::from_errno(errno, "setrlimit core");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Error::from_errno(errno, "prctl dumpable");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Error::from_errno(errno, "prctl no_new_privs");
  return {};
}

void close_all_except(std::span<const int> keep) {
  std::vector<int> sorted{keep.begin(), keep.end()};
  std::ranges::sort(sorted);
  unsigned first = 3;
  for (const int fd : sorted) {
    if (fd < static_cast<int>(first)) continue;
    if (static_cast<unsigned>(fd) > first) ::close_range(first, static_cast<unsigned>(fd) - 1, 0);
    first = static_cast<unsigned>(fd) + 1;
  }
  ::close_range(first, ~0U, 0);
}

base::Status close_standard_streams() {
  const base::UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  if (!null.valid()) return Error::from_errno(errno, "open /dev/null");
  for (const int fd : {0, 1, 2}) {
    if (::dup2(null.get(), fd) < 0) return Error::from_errno(errno, "dup2");
  }
  return {};
}

void set_process_name(const char* name) { ::prctl(PR_SET_NAME, name, 0, 0, 0); }

}  // namespace qpop::priv
