// SPDX-License-Identifier: MIT
// Opening, reading and writing what the caller names. Runs as: the caller.
#include "popauth/caller_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/base/secret.h"
#include "common/base/text.h"

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::UniqueFd;

Result<UniqueFd> open_input(const std::string& path) {
  const auto shown = base::escape_untrusted(path, 200);
  if (path == "-") {
    UniqueFd copy{::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)};
    if (!copy.valid()) return Error::from_errno(errno, "dup").at("standard input");
    return copy;
  }
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
  if (!fd.valid()) return Error::from_errno(errno, "open").at(shown);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, "fstat").at(shown);
  if (!S_ISREG(status.st_mode)) return Error{ErrorKind::unsafe, "not a regular file"}.at(shown);
  return fd;
}

Result<UniqueFd> create_output(const std::string& path) {
  if (path == "-") {
    UniqueFd copy{::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)};
    if (!copy.valid()) return Error::from_errno(errno, "dup").at("standard output");
    return copy;
  }
  UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!fd.valid()) return Error::from_errno(errno, "create").at(base::escape_untrusted(path, 200));
  return fd;
}

Result<std::string> read_whole(int fd, std::size_t most) {
  std::string text;
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "read");
    if (got == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > most) return Error{ErrorKind::limit, "the file is too large"};
  }
  base::wipe(buffer.data(), buffer.size());
  return text;
}

base::Status write_whole(UniqueFd fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd.get(), text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Error::from_errno(errno, "write");
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  // EINVAL: a pipe or terminal.
  if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != EROFS) return Error::from_errno(errno, "fsync");
  if (const int code = fd.close_checked(); code != 0) return Error::from_errno(code, "close");
  return {};
}

}  // namespace qpop::popauth
