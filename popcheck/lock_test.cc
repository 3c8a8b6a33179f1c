// SPDX-License-Identifier: MIT
// --locks: does our lock keep the delivery agents out, and theirs us? Tried, not assumed: file systems differ.
//
// A process of ours takes each kind of lock as the agents do (an fcntl lock that belongs to a process, flock, a lock file made
// as ours are), then we try ours; and the other way round. The spool is locked for moments, and not changed.
// Runs as: the owner of the mail.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/base/text.h"
#include "common/spool/locks.h"
#include "popcheck/work.h"

namespace qpop::popcheck {

namespace {

enum class Kind : std::uint8_t { dotlock, fcntl, flock };
constexpr std::array kKinds{Kind::dotlock, Kind::fcntl, Kind::flock};

/// What the agents of Debian take, as they come.
struct Agent {
  std::string_view name;
  std::string_view program;
  bool dotlock, fcntl, flock;
};
constexpr std::array kAgents{Agent{"procmail", "/usr/bin/procmail", true, true, false},        Agent{"maildrop", "/usr/bin/maildrop", true, true, false},
                             Agent{"Exim", "/usr/sbin/exim4", true, true, false},              Agent{"Postfix local", "/usr/lib/postfix/sbin/local", true, true, false},
                             Agent{"Dovecot", "/usr/lib/dovecot/dovecot-lda", true, true, false}, Agent{"mutt", "/usr/bin/mutt", true, true, false}};

std::string_view name_of(Kind kind) { return kind == Kind::dotlock ? "lock file" : kind == Kind::fcntl ? "fcntl" : "flock"; }

/// 0: taken, 1: held by somebody, 2: cannot be taken here.
int take(Place& place, Kind kind, base::UniqueFd& fd) {
  if (kind == Kind::dotlock) {
    auto locked = place.other_dotlock->try_lock(false);
    return locked ? (*locked ? 0 : 1) : 2;
  }
  fd.reset(::openat(place.folder.get(), place.target.name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid()) return 2;
  if (kind == Kind::flock) return ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 ? 0 : errno == EWOULDBLOCK ? 1 : 2;
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  return ::fcntl(fd.get(), F_SETLK, &whole) == 0 ? 0 : errno == EAGAIN || errno == EACCES ? 1 : 2;
}

/// The part of an agent in a process of its own; it holds the lock until its pipe is closed.
class Other {
 public:
  Other(Place& place, Kind kind) {
    std::array<int, 2> hold{};
    std::array<int, 2> told{};
    if (::pipe2(hold.data(), O_CLOEXEC) != 0 || ::pipe2(told.data(), O_CLOEXEC) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(hold[1]);
      base::UniqueFd fd;
      const char got = static_cast<char>(take(place, kind, fd));
      char end = 0;
      // Until the other end is closed.
      if (::write(told[1], &got, 1) == 1 && ::read(hold[0], &end, 1) > 0) ::_exit(1);
      if (kind == Kind::dotlock && got == 0) static_cast<void>(place.other_dotlock->unlock());
      ::_exit(0);
    }
    ::close(hold[0]);
    ::close(told[1]);
    hold_.reset(hold[1]);
    const base::UniqueFd answer{told[0]};
    char got = 2;
    if (pid_ > 0 && ::read(answer.get(), &got, 1) == 1) result_ = static_cast<unsigned char>(got);
  }
  Other(const Other&) = delete;
  Other& operator=(const Other&) = delete;
  ~Other() {
    hold_.reset();
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] int result() const { return result_; }

 private:
  pid_t pid_ = -1;
  base::UniqueFd hold_;
  int result_ = 2;
};

bool has(const spool::MailLockKinds& kinds, Kind kind) { return kind == Kind::dotlock ? kinds.dotlock : kind == Kind::fcntl ? kinds.fcntl : kinds.flock; }

}  // namespace

Outcome test_locks(Place& place) {
  Outcome outcome;
  const auto kinds = place.locks();
  std::string text = "mail-locks: " + place.settings.text(config::Opt::mail_locks);
  std::array<bool, 3> works{};
  bool fault = false;
  for (const auto kind : kKinds) {
    spool::Warnings ignored;
    bool theirs_seen = false;
    bool possible = true;
    {
      const Other other{place, kind};
      possible = other.result() == 0;
      auto ours = spool::MailLock::acquire(place.context(), place.paths(), kinds, 0, ignored);
      if (!ours && ours.error().kind() != base::ErrorKind::busy) return failed(ours.error().at("lock", place.target.label));
      theirs_seen = possible && !ours;
    }
    auto ours = spool::MailLock::acquire(place.context(), place.paths(), kinds, 1000, outcome.warnings);
    if (!ours) return failed(ours.error().at("lock", place.target.label));
    const bool ours_seen = Other{place, kind}.result() == 1;
    works.at(static_cast<std::size_t>(kind)) = theirs_seen && ours_seen;
    const bool wanted = has(kinds, kind);
    text += fmt::format("\n  {:<10} {}", name_of(kind),
                        !possible        ? "cannot be taken here"
                        : !wanted        ? "not in mail-locks"
                        : theirs_seen && ours_seen ? "seen both ways"
                        : theirs_seen    ? "theirs keeps us out, OURS DOES NOT KEEP THEM OUT"
                        : ours_seen      ? "ours keeps them out, THEIRS DOES NOT KEEP US OUT"
                                         : "NOT SEEN EITHER WAY");
    fault = fault || (wanted && possible && !(theirs_seen && ours_seen)) || (wanted && !possible);
  }
  for (const auto& agent : kAgents) {
    if (::access(agent.program.data(), X_OK) != 0) continue;
    const bool shared = (agent.dotlock && works[0]) || (agent.fcntl && works[1]) || (agent.flock && works[2]);
    text += fmt::format("\n  {} ({}{}{}): {}", agent.name, agent.dotlock ? "lock file" : "", agent.fcntl ? ", fcntl" : "", agent.flock ? ", flock" : "",
                        shared ? "shares a lock with us" : "SHARES NO LOCK WITH US");
    fault = fault || !shared;
  }
  outcome.code = fault ? kFindings : kClean;
  outcome.result = fault ? "findings" : "clean";
  outcome.message = std::move(text);
  outcome.warnings.clear();
  return outcome;
}

}  // namespace qpop::popcheck
