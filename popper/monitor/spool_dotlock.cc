// SPDX-License-Identifier: MIT
// The dotlock of a spool, made by the monitor.
// Runs as: root, with the effective ids of the mail's owner while it touches the spool folder.
#include "popper/monitor/spool_dotlock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "common/base/clock.h"
#include "common/files/dotlock.h"
#include "common/files/file_system.h"
#include "common/log/log.h"

namespace qpop::monitor {

namespace {

/// Effective ids of the user and the folder's group, as long as it lives.
class AsUser {
 public:
  AsUser(uid_t uid, gid_t folder_group) {
    switched_ = ::setegid(folder_group) == 0 && ::seteuid(uid) == 0;
    if (!switched_) restore();
  }
  AsUser(const AsUser&) = delete;
  AsUser& operator=(const AsUser&) = delete;
  ~AsUser() { restore(); }
  [[nodiscard]] bool switched() const { return switched_; }

 private:
  static void restore() {
    // Without its own rights the monitor cannot go on in any sensible way.
    if (::seteuid(0) != 0 || ::setegid(0) != 0) std::abort();
  }
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
        lock(files, clock, folder.get(), owner.name) {
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
  if (!as.switched()) return {ipc::DotlockResult::failed, EPERM};
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

void remove_dotlock_of(const MailOwner& owner, pid_t pid) {
  const base::UniqueFd folder{::open(owner.spool_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  const std::string name = owner.name + ".lock";
  const base::UniqueFd file{::openat(folder.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) return;
  std::array<char, 32> text{};
  const ssize_t got = ::pread(file.get(), text.data(), text.size(), 0);
  if (got <= 0 || std::string_view{text.data(), static_cast<std::size_t>(got)} != fmt::format("{}\n", pid)) return;
  if (::unlinkat(folder.get(), name.c_str(), 0) == 0) log::info("maildrop of {}: removed the lock file of process {}, which was killed", owner.name, pid);
}

}  // namespace qpop::monitor
