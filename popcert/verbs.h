// SPDX-License-Identifier: MIT
// What popcert does: one function for each verb.
#pragma once

#include "popcert/command_line.h"

namespace qpop::popcert {

[[nodiscard]] ExitCode init(const Command& command);
[[nodiscard]] ExitCode request(const Command& command);
[[nodiscard]] ExitCode install(const Command& command);
[[nodiscard]] ExitCode check(const Command& command);
[[nodiscard]] ExitCode renew(const Command& command);
[[nodiscard]] ExitCode deploy_hook(const Command& command);
[[nodiscard]] ExitCode profile(const Command& command);

/// A line on standard error, "popcert: " before it. `code` is handed through.
ExitCode fail(const base::Error& error, ExitCode code = ExitCode::failed);
/// A line on standard output.
void say(std::string_view line);
/// The name of this host with its domain, for want of --host.
[[nodiscard]] std::string own_host_name();

}  // namespace qpop::popcert
