// SPDX-License-Identifier: MIT
// The one error value of the suite: what kind of failure, on which object, why.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace qpop::base {

/// Few kinds, so that a caller can switch over all of them.
enum class ErrorKind : std::uint8_t {
  not_found,    ///< the object does not exist
  busy,         ///< somebody else holds it; trying later may help
  denied,       ///< permission or policy
  no_space,     ///< disk full or quota exceeded
  io,           ///< the system refused for another reason; see errno_value
  malformed,    ///< bytes that do not follow their grammar
  limit,        ///< a bound of ours was exceeded
  changed,      ///< the object is no longer the one that was looked at before
  unsupported,  ///< this kernel, file system or build cannot do it
  unsafe,       ///< owner, mode, link count or type of a file is not what it must be
  closed,       ///< the process at the other end of a channel has gone
};

/// kind: for decisions. context: "what was tried, on which object". errno_value: 0 when no system call failed.
/// detail: reason in words, never containing untrusted bytes unescaped.
class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string detail) : kind_(kind), detail_(std::move(detail)) {}

  /// Error of a failed system call; the kind follows from `errno_value`.
  static Error from_errno(int errno_value, std::string_view call);

  /// Puts "what, on which object" in front; callers add context from the inside out.
  Error at(std::string_view what) const;
  Error at(std::string_view what, std::string_view object) const;

  ErrorKind kind() const { return kind_; }
  int errno_value() const { return errno_value_; }
  const std::string& context() const { return context_; }
  const std::string& detail() const { return detail_; }

  /// "context: detail", one line, for the log.
  std::string message() const;

 private:
  ErrorKind kind_;
  int errno_value_ = 0;
  std::string context_;
  std::string detail_;
};

/// Kind that an errno belongs to: ENOENT not_found; EAGAIN, EBUSY, EDEADLK busy; EACCES, EPERM denied; ENOSPC, EDQUOT,
/// EFBIG no_space; ELOOP unsafe; everything else io.
ErrorKind kind_of_errno(int errno_value);

}  // namespace qpop::base
