// SPDX-License-Identifier: MIT
// What must be right before the server starts: users, folders, database. Every fault is named with its cause and a remedy.
#pragma once

#include <vector>

#include "common/config/reader.h"
#include "popper/monitor/monitor.h"

namespace qpop::monitor {

/// A check makes nothing. A recovery needs no database, no users of the other roles and no address; nor does the import of
/// numbers, but that it needs the users that parse databases.
enum class Purpose : std::uint8_t { serve, check, recover, import_numbers };

/// Looks up users and names. Faults are added to `problems`.
[[nodiscard]] Environment look_up_environment(const config::Settings& settings, std::vector<config::Problem>& problems,
                                              Purpose purpose = Purpose::serve);

/// Checks folders, database file and listen values; makes the state folder when it is missing (a check says so). With a full disk the server still
/// starts (mail can be deleted then), so that is a warning.
void check_environment(const config::Settings& settings, const Environment& environment, std::vector<config::Problem>& problems,
                       Purpose purpose = Purpose::serve);

/// "state-dir (qpopper.config line 3)": where to mend it.
[[nodiscard]] std::string named(const config::Settings& settings, config::Opt id);
/// Of one value of a list.
[[nodiscard]] std::string named(const config::Settings& settings, config::Opt id, std::size_t index);

/// TLS was asked for, by tls-support or by a listen value: without a usable certificate the server does not start.
[[nodiscard]] bool asks_for_tls(const config::Settings& settings);
/// Asked for, or a certificate lies in its usual place.
[[nodiscard]] bool offers_tls(const config::Settings& settings);

/// Option auth-backends.
[[nodiscard]] bool asks_database(const config::Settings& settings);
/// "pam" and "shadow" in their order; none where accounts exist in the database alone.
[[nodiscard]] std::vector<std::string> system_backends(const config::Settings& settings, const Environment& environment);

/// Option tracefile: made when it is missing, appended to. Errors: unsafe (not a regular file of ours, or others can write it), denied, io.
[[nodiscard]] base::Result<base::UniqueFd> open_trace(const std::string& path, bool make = true);

/// Values that a row of the table cannot judge: paths, patterns, programs. Part of check_environment().
void check_values(const config::Settings& settings, const Environment& environment, std::vector<config::Problem>& problems);

/// Part of a check alone, in trial.cc: whether the server could bind the address. One in use is fine: the server may be running.
void try_to_bind(const ListenAddress& address, const std::string& place, std::vector<config::Problem>& problems);
/// Part of a check alone, in trial.cc: the folders of the files that the server makes when it starts.
void check_places(const config::Settings& settings, std::vector<config::Problem>& problems);

/// The private key of the APOP secrets, "<database>.key": ours, and readable by nobody else, so that set-uid popauth cannot open them.
[[nodiscard]] base::Result<base::UniqueFd> open_key(const std::string& database);

}  // namespace qpop::monitor
