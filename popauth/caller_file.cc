// SPDX-License-Identifier: MIT
// Opening, reading and writing what the caller names. Runs as: the caller.
#include "popauth/caller_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/base/io.h"
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

base::Status write_and_close(UniqueFd fd, std::string_view text) {
  if (auto written = base::write_whole(fd.get(), text); !written) return written;
  // EINVAL: a pipe or terminal.
  if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != EROFS) return Error::from_errno(errno, "fsync");
  if (const int code = fd.close_checked(); code != 0) return Error::from_errno(code, "close");
  return {};
}

}  // namespace qpop::popauth
