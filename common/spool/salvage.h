// SPDX-License-Identifier: MIT
// Bringing back mail from a journal whose spool was rewritten by another program before the update could be finished.
#pragma once

#include <cstddef>

#include "common/base/result.h"
#include "common/spool/journal.h"

namespace qpop::spool {

struct Salvaged {
  std::size_t held = 0;      ///< messages in the journal
  std::size_t appended = 0;  ///< of them, missing in the spool
};

/// Appends the messages of the journal that the spool lacks, by digest, counting twins. What stands in the spool is not
/// touched: nothing is lost; mail that the other program removed may return. After a crash in the middle it is called
/// again and writes the same octets to the same place, as long as nobody appended meanwhile.
///
/// Precondition: journal.mail() has a file. Errors: no_space, io, busy (mail keeps coming without locks): the spool is
/// as it was, or salvage starts again.
[[nodiscard]] base::Result<Salvaged> salvage(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                             const Journal& journal);

/// Forgets where it began: all is there and durable.
[[nodiscard]] base::Status end_salvage(const Context& context, int state_folder_fd);

}  // namespace qpop::spool
