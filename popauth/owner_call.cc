// SPDX-License-Identifier: MIT
// Work in a child that is the owner for good.
#include "popauth/owner_call.h"

#include <sys/wait.h>
#include <unistd.h>


#include "common/priv/child_call.h"
#include "popauth/exit_code.h"
#include "popauth/safe_start.h"

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;
using base::Result;

namespace {

constexpr std::size_t kMaxAnswer = 65536;

}  // namespace

Result<std::string> call_as_owner(const Identity& identity, const std::function<Result<std::string>()>& work) {
  if (!identity.is_lent()) {
    const TimeBound bound;
    auto rights = DatabaseRights::take(identity);
    if (!rights) return rights.error();
    return work();
  }
  // It says by itself when it takes too long.
  int status = 0;
  auto result = priv::call_in_child(
      kMaxAnswer,
      [&](int /*out*/) -> Result<std::string> {
        const TimeBound bound;
        if (auto become = identity.become_owner(); !become) return become.error();
        return work();
      },
      &status);
  if (WIFEXITED(status) && WEXITSTATUS(status) == static_cast<int>(ExitCode::timed_out)) ::_exit(WEXITSTATUS(status));
  return result;
}

}  // namespace qpop::popauth
