// SPDX-License-Identifier: MIT
// One packet asks (what, kernel locks held), one answers (done, errno).
// Runs as: the owner of the mail with the group of the spool folder; it reads no mail.
#include "popcheck/helper_dotlock.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/priv/drop.h"

namespace qpop::popcheck {

namespace {

constexpr char kLock = 'l';
constexpr char kTouch = 't';
constexpr char kUnlock = 'u';

using Question = std::array<char, 2>;

void serve(int socket, int folder, const std::string& name, files::LockCreation creation) {
  files::SystemFileSystem fs;
  base::SystemClock clock;
  files::DirectDotlock lock{fs, clock, folder, name, creation};
  Question question{};
  while (::recv(socket, question.data(), question.size(), 0) == static_cast<ssize_t>(question.size())) {
    std::array<int, 2> reply{};
    const auto fail = [&](const base::Error& error) { reply[1] = error.errno_value() != 0 ? error.errno_value() : EIO; };
    if (question[0] == kLock) {
      if (auto locked = lock.try_lock(question[1] != 0)) {
        reply[0] = *locked ? 1 : 0;
      } else {
        fail(locked.error());
      }
    } else if (auto done = question[0] == kTouch ? lock.touch() : lock.unlock(); done) {
      reply[0] = 1;
    } else {
      fail(done.error());
    }
    if (::send(socket, reply.data(), sizeof reply, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof reply)) break;
  }
  static_cast<void>(lock.unlock());
}

}  // namespace

base::Result<base::UniqueFd> start_dotlock_helper(int folder, const std::string& name, uid_t uid, files::LockCreation creation) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) return base::Error::from_errno(errno, "socketpair");
  base::UniqueFd ours{pair[0]};
  base::UniqueFd theirs{pair[1]};
  struct stat status {};
  if (::fstat(folder, &status) != 0) return base::Error::from_errno(errno, "fstat");
  const pid_t pid = ::fork();
  if (pid < 0) return base::Error::from_errno(errno, "fork");
  if (pid == 0) {
    const std::array<int, 2> keep{theirs.get(), folder};
    priv::close_all_except(keep);
    // Set-group-id of root would be too much; a folder of group root gives us none.
    if (priv::drop_to(uid, status.st_gid == 0 ? static_cast<gid_t>(uid) : status.st_gid)) serve(theirs.get(), folder, name, creation);
    ::_exit(0);
  }
  return ours;
}

base::Result<HelperDotlock::Reply> HelperDotlock::ask(char op, bool kernel_locks_held) {
  const Question question{op, static_cast<char>(kernel_locks_held ? 1 : 0)};
  std::array<int, 2> reply{};
  const bool asked = ::send(helper_.get(), question.data(), question.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(question.size());
  if (!asked || ::recv(helper_.get(), reply.data(), sizeof reply, 0) != static_cast<ssize_t>(sizeof reply))
    return base::Error{base::ErrorKind::io, "the process that makes lock files is gone"};
  return Reply{reply[0], reply[1]};
}

base::Result<bool> HelperDotlock::try_lock(bool kernel_locks_held) {
  auto reply = ask(kLock, kernel_locks_held);
  if (!reply) return reply.error();
  if (reply->errno_value != 0) return base::Error::from_errno(reply->errno_value, "make the lock file");
  return reply->done != 0;
}

base::Status HelperDotlock::touch() {
  auto reply = ask(kTouch, true);
  return reply ? base::Status{} : base::Status{reply.error()};
}

base::Status HelperDotlock::unlock() {
  auto reply = ask(kUnlock, true);
  return reply ? base::Status{} : base::Status{reply.error()};
}

}  // namespace qpop::popcheck
