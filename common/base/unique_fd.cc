// SPDX-License-Identifier: MIT
// Checked close of an owned descriptor.
#include "common/base/unique_fd.h"

#include <cerrno>

namespace qpop::base {

int UniqueFd::close_checked() {
  const int fd = release();
  if (fd < 0) return 0;
  return ::close(fd) == 0 ? 0 : errno;
}

}  // namespace qpop::base
