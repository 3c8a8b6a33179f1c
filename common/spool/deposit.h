// SPDX-License-Identifier: MIT
// Mail that has to get into a spool before a session sees it: what Qpopper left in a temporary drop, and bulletins.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/spool/context.h"
#include "common/spool/locks.h"

namespace qpop::spool {

/// A file in an open folder.
struct LeftOver {
  int folder_fd = -1;
  std::string name;
};

/// Is there a temporary drop with mail in it? One that is empty or not there costs one system call. What is no file of the user's is none,
/// and a warning: whoever may make files in that folder must not be able to keep others from their mail.
/// Errors: unsafe (several links), io.
[[nodiscard]] base::Result<bool> has_mail(const Context& context, const MaildropPaths& paths, const LeftOver& drop, Warnings& warnings);

struct TakenOver {
  std::size_t held = 0;      ///< messages of the temporary drop
  std::size_t appended = 0;  ///< of them, not in the spool already
  bool in_order = true;      ///< they stand in front of what the spool held
};

/// Puts the mail of a temporary drop in front of that of the spool, and empties the drop. After a crash at any point it is called again:
/// no message is lost, and none is there twice.
/// Precondition: the spool is locked, no journal stands.
/// Errors: busy (detail begins with "session": a Qpopper uses it), malformed (no mailbox, or of another format than the spool), no_space,
///         io; the drop is as it was.
[[nodiscard]] base::Result<TakenOver> take_over(const Context& context, const MaildropPaths& paths, MailLock& lock, const LeftOver& drop,
                                                Warnings& warnings);

/// Appends messages, mbox, that the spool does not hold yet. Precondition and errors as above.
[[nodiscard]] base::Result<std::size_t> append_messages(const Context& context, const MaildropPaths& paths, MailLock& lock, const std::string& messages);

}  // namespace qpop::spool
