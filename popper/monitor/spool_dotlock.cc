// SPDX-License-Identifier: MIT
// The dotlock of a spool, made by the monitor.
// Runs as: root, with the effective ids of the mail's owner while it touches the spool folder; or the user who started the
// server.
#include "popper/monitor/spool_dotlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "common/base/clock.h"
#include "common/files/dotlock.h"
#include "common/files/file_system.h"
#include "common/log/log.h"

namespace qpop::monitor {

namespace {

/// Effective ids of the user and the folder's group, as long as it lives. Not started by root, we are the user already.
class AsUser {
 public:
  AsUser(uid_t uid, gid_t folder_group) : is_root_(::geteuid() == 0) {
    if (!is_root_) return;
    switched_ = ::setegid(folder_group) == 0 && ::seteuid(uid) == 0;
    if (!switched_) restore();
  }
  AsUser(const AsUser&) = delete;
  AsUser& operator=(const AsUser&) = delete;
  ~AsUser() {
    if (is_root_) restore();
  }
  [[nodiscard]] bool is_user() const { return switched_ || !is_root_; }

 private:
  static void restore() {
    // Without its own rights the monitor cannot go on in any sensible way.
    if (::seteuid(0) != 0 || ::setegid(0) != 0) std::abort();
  }
  bool is_root_;
  bool switched_ = false;
};

ipc::DotlockReply reply_of(const base::Error& error) {
  return {ipc::DotlockResult::failed, error.errno_value() != 0 ? error.errno_value() : EIO};
}

}  // namespace

struct SpoolDotlock::State {
  explicit State(const MailOwner& owner)
      : uid(owner.uid),
        folder(::open(owner.spool_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)),
        lock(files, clock, folder.get(), owner.spool_name,
             owner.lock_by_link ? files::LockCreation::link : files::LockCreation::exclusive_open) {
    struct stat status {};
    if (::fstat(folder.get(), &status) == 0) group = status.st_gid;
  }
  files::SystemFileSystem files;
  base::SystemClock clock;
  uid_t uid;
  gid_t group = static_cast<gid_t>(-1);
  base::UniqueFd folder;
  files::DirectDotlock lock;
  bool held = false;
};

SpoolDotlock::SpoolDotlock(const MailOwner& owner) : state_(std::make_unique<State>(owner)) {}
SpoolDotlock::SpoolDotlock(SpoolDotlock&&) noexcept = default;
SpoolDotlock& SpoolDotlock::operator=(SpoolDotlock&&) noexcept = default;

SpoolDotlock::~SpoolDotlock() {
  if (state_ != nullptr && state_->held) (void)apply({ipc::DotlockOp::unlock, 0});
}

ipc::DotlockReply SpoolDotlock::apply(const ipc::DotlockRequest& request) {
  if (!state_->folder.valid()) return {ipc::DotlockResult::failed, ENOENT};
  const AsUser as{state_->uid, state_->group};
  if (!as.is_user()) return {ipc::DotlockResult::failed, EPERM};
  if (request.op == ipc::DotlockOp::lock) {
    const auto locked = state_->lock.try_lock(request.kernel_locks_held != 0);
    if (!locked) return reply_of(locked.error());
    state_->held = *locked;
    return {*locked ? ipc::DotlockResult::done : ipc::DotlockResult::busy, 0};
  }
  const auto done = request.op == ipc::DotlockOp::touch ? state_->lock.touch() : state_->lock.unlock();
  if (!done) return reply_of(done.error());
  if (request.op == ipc::DotlockOp::unlock) state_->held = false;
  return {ipc::DotlockResult::done, 0};
}

}  // namespace qpop::monitor
