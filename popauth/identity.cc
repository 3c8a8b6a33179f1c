// SPDX-License-Identifier: MIT
// Real, effective and saved uid. Runs as: pop (set-uid), root, or the owner of a private database.
#include "popauth/identity.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include "common/authdb/file_rules.h"
#include "popauth/exit_code.h"

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;

namespace {

constexpr gid_t kNoGroup = 65534;

struct Ids {
  uid_t real = 0, effective = 0, saved = 0;
};

Ids user_ids() {
  Ids ids;
  ::getresuid(&ids.real, &ids.effective, &ids.saved);
  return ids;
}

Error not_given_up(const char* what) {
  return Error{ErrorKind::unsafe, fmt::format("cannot give up rights ({})", what)};
}

/// seteuid() that is read back. Each change of the effective uid makes the kernel set "dumpable" from a sysctl, which
/// would let the caller read our memory.
bool set_effective(uid_t uid) {
  const bool done = ::seteuid(uid) == 0 && ::geteuid() == uid;
  return ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && done;
}

/// Root only: the owner's group, no others.
Status become_group_of(uid_t owner) {
  const passwd* entry = ::getpwuid(owner);
  const gid_t group = entry != nullptr ? entry->pw_gid : kNoGroup;
  if (::setgroups(0, nullptr) != 0 || ::setresgid(group, group, group) != 0) return not_given_up("group");
  gid_t real = 0, effective = 0, saved = 0;
  ::getresgid(&real, &effective, &saved);
  if (real != group || effective != group || saved != group || ::getgroups(0, nullptr) != 0)
    return not_given_up("group");
  return {};
}

}  // namespace

Result<Identity> Identity::take() {
  Identity identity;
  identity.real_ = ::getuid();
  identity.effective_at_start_ = ::geteuid();
  if (identity.effective_at_start_ == 0 && identity.real_ != 0) {
    return Error{ErrorKind::unsafe,
                 "must not be set-uid to root; install it set-uid to the user that owns the database (popauth(8))"};
  }
  identity.lent_ = identity.real_ != identity.effective_at_start_ && identity.real_ != 0;
  const gid_t group = ::getgid();
  if (::setresgid(group, group, group) != 0 || ::getegid() != group) return not_given_up("group");
  if (!set_effective(identity.real_)) return not_given_up("user");
  if (const passwd* entry = ::getpwuid(identity.real_); entry != nullptr) identity.name_ = entry->pw_name;
  return identity;
}

Result<uid_t> Identity::owner() const {
  if (effective_at_start_ != 0) return effective_at_start_;
  auto owner = authdb::expected_owner();
  if (owner && *owner == 0) return Error{ErrorKind::unsafe, "the user that owns the database must not have uid 0"};
  return owner;
}

bool Identity::is_administrator() const {
  if (is_root()) return true;
  const auto owner = this->owner();
  return owner && *owner == real_;
}

std::string Identity::who() const {
  return name_.empty() ? fmt::format("uid {}", real_) : name_;
}

Status Identity::become_owner() const {
  auto owner = this->owner();
  if (!owner) return owner.error();
  if (is_root()) {
    if (auto ok = become_group_of(*owner); !ok) return ok;
  }
  if (::setresuid(*owner, *owner, *owner) != 0 || !set_effective(*owner)) return not_given_up("user");
  const auto ids = user_ids();
  if (ids.real != *owner || ids.effective != *owner || ids.saved != *owner) return not_given_up("user");
  if (real_ != *owner && ::seteuid(real_) == 0) return not_given_up("they could be taken back");
  return {};
}

Result<DatabaseRights> DatabaseRights::take(const Identity& identity) {
  auto owner = identity.owner();
  if (!owner) return owner.error();
  if (*owner == ::geteuid()) return DatabaseRights{identity.real_uid(), false};
  if (!set_effective(*owner)) return Error::from_errno(errno, "seteuid");
  return DatabaseRights{identity.real_uid(), true};
}

DatabaseRights::~DatabaseRights() {
  if (held_ && !set_effective(real_)) ::_exit(static_cast<int>(ExitCode::unsafe));
}

}  // namespace qpop::popauth
