// SPDX-License-Identifier: MIT
// Asks another POP3 server for the unique-ids of one user.
// Runs as: the owner of the mail.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace qpop::takeover {

/// "HOST:PORT"; logs in with USER and PASS, in clear: for a server on this host or on a network of its own. Returns the lines of its UIDL
/// answer. Errors: malformed (not HOST:PORT), io, denied (the server said -ERR; its text is the detail).
[[nodiscard]] base::Result<std::string> ask_peer(std::string_view address, std::string_view user, std::string_view password);

}  // namespace qpop::takeover
