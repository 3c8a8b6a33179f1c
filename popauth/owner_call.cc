// SPDX-License-Identifier: MIT
// Work in a child that is the owner for good.
#include "popauth/owner_call.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/base/unique_fd.h"
#include "popauth/exit_code.h"
#include "popauth/safe_start.h"

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::UniqueFd;

namespace {

constexpr std::size_t kMaxAnswer = 65536;
constexpr char kFine = '+';

/// First octet: kFine, or 'a' plus the kind of the error whose text follows.
std::string framed(const Result<std::string>& result) {
  if (result) return kFine + *result;
  return static_cast<char>('a' + static_cast<int>(result.error().kind())) + result.error().message();
}

[[noreturn]] void child(const Identity& identity, int out, const std::function<Result<std::string>()>& work) {
  const TimeBound bound;
  Result<std::string> result = Error{ErrorKind::io, "no answer"};
  try {
    auto become = identity.become_owner();
    if (become) {
      result = work();
    } else {
      result = become.error();
    }
  } catch (const std::exception& error) {
    result = Error{ErrorKind::io, error.what()};
  }
  const auto answer = framed(result);
  const bool sent = answer.size() <= kMaxAnswer && ::write(out, answer.data(), answer.size()) == static_cast<ssize_t>(answer.size());
  ::_exit(static_cast<int>(sent ? ExitCode::ok : ExitCode::failed));
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (text.size() <= kMaxAnswer) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

Result<std::string> unframed(const std::string& answer) {
  if (answer.empty() || answer.size() > kMaxAnswer) return Error{ErrorKind::io, "the process that uses the database died"};
  if (answer.front() == kFine) return answer.substr(1);
  const int kind = answer.front() - 'a';
  const bool known = kind >= 0 && kind <= static_cast<int>(ErrorKind::unsafe);
  return Error{known ? static_cast<ErrorKind>(kind) : ErrorKind::io, answer.substr(1)};
}

}  // namespace

Result<std::string> call_as_owner(const Identity& identity, const std::function<Result<std::string>()>& work) {
  if (!identity.is_lent()) {
    const TimeBound bound;
    auto rights = DatabaseRights::take(identity);
    if (!rights) return rights.error();
    return work();
  }
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::from_errno(errno, "pipe");
  const UniqueFd in{ends[0]};
  UniqueFd out{ends[1]};
  const pid_t pid = ::fork();
  if (pid < 0) return Error::from_errno(errno, "fork");
  if (pid == 0) child(identity, out.get(), work);
  out.reset();
  const auto answer = read_all(in.get());
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  // It has said why by itself.
  if (WIFEXITED(status) && WEXITSTATUS(status) == static_cast<int>(ExitCode::timed_out)) ::_exit(WEXITSTATUS(status));
  return unframed(answer);
}

}  // namespace qpop::popauth
