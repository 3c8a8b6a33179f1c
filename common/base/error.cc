// SPDX-License-Identifier: MIT
// Error construction and its text form.
#include "common/base/error.h"

#include <cerrno>
#include <cstring>

namespace qpop::base {

ErrorKind kind_of_errno(int errno_value) {
  switch (errno_value) {
    case ENOENT:
    case ENOTDIR:
      return ErrorKind::not_found;
    case EAGAIN:
    case EBUSY:
    case EDEADLK:
      return ErrorKind::busy;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorKind::denied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorKind::no_space;
    case ELOOP:
      return ErrorKind::unsafe;
    case ENOSYS:
    case EOPNOTSUPP:
      return ErrorKind::unsupported;
    default:
      return ErrorKind::io;
  }
}

Error Error::from_errno(int errno_value, std::string_view call) {
  std::string detail{call};
  detail += ": ";
  detail += std::strerror(errno_value);
  Error error{kind_of_errno(errno_value), std::move(detail)};
  error.errno_value_ = errno_value;
  return error;
}

Error Error::at(std::string_view what) const {
  Error copy = *this;
  copy.context_ = context_.empty() ? std::string{what} : std::string{what} + ": " + context_;
  return copy;
}

Error Error::at(std::string_view what, std::string_view object) const {
  std::string where{what};
  where += ' ';
  where += object;
  return at(where);
}

std::string Error::message() const { return context_.empty() ? detail_ : context_ + ": " + detail_; }

}  // namespace qpop::base
