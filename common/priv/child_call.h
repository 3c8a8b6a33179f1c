// SPDX-License-Identifier: MIT
// Work that may hang, die or needs other rights, in a child that answers through a pipe.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "common/base/result.h"

namespace qpop::priv {

/// Exit code of a child whose work threw.
inline constexpr int kChildThrew = 125;

struct ChildAnswer {
  std::string octets;  ///< the caller wipes what is secret
  int status = 0;      ///< as waitpid(2) gives it

  /// Empty when a signal ended it.
  [[nodiscard]] bool ended_with(int code) const;
  [[nodiscard]] bool was_killed() const;
};

/// Forks; the child runs work(descriptor for the answer) and exits with what it returns, without destructors. Limits of its own (alarm,
/// rlimits, rights) are the work's to set. Waits for its end.
/// Errors  limit: an answer of more than `most` octets; the child meets a closed pipe then. io: no pipe, no process.
[[nodiscard]] base::Result<ChildAnswer> ask_child(std::size_t most, const std::function<int(int out)>& work);

/// For work that ends in a text or an error: either comes back as it was, the error without its errno. `status`: how it
/// ended, as waitpid(2) gives it.
/// Errors  those of the work; those of ask_child(); io: the child died.
[[nodiscard]] base::Result<std::string> call_in_child(std::size_t most, const std::function<base::Result<std::string>(int out)>& work,
                                                      int* status = nullptr);

}  // namespace qpop::priv
