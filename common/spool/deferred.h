// SPDX-License-Identifier: MIT
// Deleting without touching the spool (expunged.h), and the rewrite that follows: some day with expunge = deferred, at once otherwise.
#pragma once

#include "common/base/result.h"
#include "common/spool/expunged.h"
#include "common/spool/maildrop.h"

namespace qpop::spool {

/// Is so much deleted, or so long ago, that the spool of `spool_size` octets is to be rewritten? Where nothing is deferred, whatever is
/// left is due. `more`: octets that come to it now.
[[nodiscard]] bool is_due(const Context& context, const ExpungeRules& rules, const Expunged& expunged, std::uint64_t more,
                          std::uint64_t spool_size);

/// Is there so much to move or to cut (UpdateRequest::long_update) that the client is better answered before?
[[nodiscard]] bool is_long_update(const UpdateRequest& request);

/// Writes down which messages the session deleted. Reads the listing of the session, and of the spool only whether it is still what
/// was listed; takes no mail lock.
///
/// Result   true: they are gone for good. false: the spool is not as it was listed, or is to be rewritten now (`even_if_due`: that
///          does not count), or the last message lacks its end, so that what is appended would change it, and with it the listing that a
///          deletion is known by; an ordinary update is needed.
/// Errors   no_space, denied, changed, io; nothing was written, unless `in_doubt` is set: then the messages may be gone.
[[nodiscard]] base::Result<bool> defer_deletion(const Context& context, const MaildropPaths& paths, const ExpungeRules& rules,
                                                const UpdateRequest& request, bool even_if_due, bool& in_doubt);

/// Removes what is hidden from the spool, by an ordinary update. Precondition: the spool is locked, no journal stands.
/// Result  how many messages. Errors: as apply_update().
[[nodiscard]] base::Result<std::uint32_t> compact(const Context& context, const MaildropPaths& paths, MailLock& lock, const Expunged& expunged,
                                                  Warnings& warnings);

/// The same with the mail locks, for which it waits as an open does, and whether it is due or not. Precondition: the caller has the
/// session lock.
[[nodiscard]] base::Result<std::uint32_t> compact_maildrop(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings,
                                                           Warnings& warnings);

/// The same after a crash, with the session lock too: what an update wrote down and did not come to remove. Nothing where expunge is
/// deferred, and where a session has the maildrop.
[[nodiscard]] base::Result<std::uint32_t> finish_written_down(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings,
                                                              Warnings& warnings);

}  // namespace qpop::spool
