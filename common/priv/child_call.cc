// SPDX-License-Identifier: MIT
// One pipe, one fork, one answer.
#include "common/priv/child_call.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>

#include "common/base/io.h"
#include "common/base/unique_fd.h"

namespace qpop::priv {

namespace {

[[noreturn]] void run(int out, const std::function<int(int)>& work) {
  int code = kChildThrew;
  try {
    code = work(out);
  } catch (const std::exception&) {
    code = kChildThrew;
  }
  ::_exit(code);
}

constexpr char kFine = '+';

/// First octet: kFine, or 'a' plus the kind of the error whose text follows.
std::string framed(const base::Result<std::string>& result) {
  if (result) return kFine + *result;
  return static_cast<char>('a' + static_cast<int>(result.error().kind())) + result.error().message();
}

}  // namespace

bool ChildAnswer::ended_with(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
bool ChildAnswer::was_killed() const { return WIFSIGNALED(status); }

base::Result<ChildAnswer> ask_child(std::size_t most, const std::function<int(int out)>& work) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return base::Error::from_errno(errno, "pipe");
  base::UniqueFd in{ends[0]};
  base::UniqueFd out{ends[1]};
  const pid_t pid = ::fork();
  if (pid < 0) return base::Error::from_errno(errno, "fork");
  if (pid == 0) run(out.get(), work);
  out.reset();
  auto octets = base::read_whole(in.get(), most);
  in.reset();  // a child with too much to say must not wait for us
  ChildAnswer answer;
  while (::waitpid(pid, &answer.status, 0) < 0 && errno == EINTR) continue;
  if (!octets) return octets.error();
  answer.octets = std::move(*octets);
  return answer;
}

base::Result<std::string> call_in_child(std::size_t most, const std::function<base::Result<std::string>(int out)>& work,
                                        int* status) {
  auto answer = ask_child(most, [&](int out) {
    const auto text = framed(work(out));
    return text.size() <= most && base::write_whole(out, text) ? 0 : 1;
  });
  if (!answer) return answer.error();
  if (status != nullptr) *status = answer->status;
  auto& octets = answer->octets;
  if (octets.empty()) return base::Error{base::ErrorKind::io, answer->was_killed() ? "the process that does the work was killed" : "the process that does the work died"};
  const char first = octets.front();
  octets.erase(0, 1);
  if (first == kFine) return std::move(octets);
  const int kind = first - 'a';
  const bool known = kind >= 0 && kind <= static_cast<int>(base::ErrorKind::unsafe);
  return base::Error{known ? static_cast<base::ErrorKind>(kind) : base::ErrorKind::io, std::move(octets)};
}

}  // namespace qpop::priv
