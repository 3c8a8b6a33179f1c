// SPDX-License-Identifier: MIT
// What changes a spool before a session sees it, all under one taking of the mail locks: deleted messages that have to leave it,
// left-over temporary drops, bulletins, expiry.
#pragma once

#include "common/base/result.h"
#include "common/spool/expunged.h"
#include "common/spool/maildrop.h"

namespace qpop::spool {

/// Usually there is nothing to do, and then nothing is locked. Bulletins that cannot be appended are a warning: the session goes on; so is a rewrite for
/// what `expunged` says.
/// Errors: as take_over() and expire(): a maildrop that lacks mail must not be shown.
[[nodiscard]] base::Status prepare_spool(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings, Expunged& expunged,
                                         OpenedMaildrop& out);

/// LOGIN-DELAY. Errors: busy (detail begins with "too early").
[[nodiscard]] base::Status check_login_delay(const Context& context, const MaildropPaths& paths, std::uint32_t delay_s);

}  // namespace qpop::spool
