// SPDX-License-Identifier: MIT
// What popauth does. Each verb prints its own messages and returns the exit code.
#pragma once

#include <string>

#include "popauth/command_line.h"
#include "popauth/exit_code.h"
#include "popauth/identity.h"

namespace qpop::popauth {

/// The database a command works on: -db, else the default. Refused for a caller the program is lent to by its set-uid
/// bit. Errors  denied.
[[nodiscard]] base::Result<std::string> database_path(const Identity& identity, const Command& command);

[[nodiscard]] ExitCode initialise(const Identity& identity, const Command& command, const std::string& path);
[[nodiscard]] ExitCode set_password(const Identity& identity, Command& command, const std::string& path);
[[nodiscard]] ExitCode remove_account(const Identity& identity, const Command& command, const std::string& path);
[[nodiscard]] ExitCode list_accounts(const Identity& identity, const Command& command, const std::string& path);
/// -disable and -enable.
[[nodiscard]] ExitCode switch_account(const Identity& identity, const Command& command, const std::string& path);
[[nodiscard]] ExitCode check_password(const Identity& identity, Command& command, const std::string& path);

// In file_verbs.cc: files the caller names are opened with the caller's rights.
[[nodiscard]] ExitCode export_accounts(const Identity& identity, const Command& command, const std::string& path);
[[nodiscard]] ExitCode back_up(const Identity& identity, const Command& command, const std::string& path);
[[nodiscard]] ExitCode restore_database(const Identity& identity, const Command& command, const std::string& path);
[[nodiscard]] ExitCode compact_database(const Identity& identity, const Command& command, const std::string& path);
[[nodiscard]] ExitCode import_accounts(const Identity& identity, const Command& command, const std::string& path);

}  // namespace qpop::popauth
