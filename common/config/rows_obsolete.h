// SPDX-License-Identifier: MIT
// Rows of the option table (options.h): options of the original that no longer make sense: accepted with a warning that says what to use instead.
#pragma once

#include <array>

#include "common/config/option.h"

namespace qpop::config {

inline constexpr std::array kObsoleteRows{
    Option{Opt::server_mode, "server-mode", 'S', Type::boolean, Scope::N, "false", 0, 0, "", "obsolete: always so",
           "Spools are never copied; every session works on the spool itself.", true},
    Option{Opt::fast_update, "fast-update", 'F', Type::boolean, Scope::N, "false", 0, 0, "", "obsolete: no need",
           "Updates move only what must move, in place and under a journal.", true},
    Option{Opt::keep_temp_drop, "keep-temp-drop", 0, Type::boolean, Scope::U, "false", 0, 0, "", "obsolete: no temporary drop",
           "There is no temporary drop that could be kept.", true},
    Option{Opt::temp_dir, "temp-dir", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: see state-dir",
           "There is no temporary drop; the journal lies in state-dir.", true},
    Option{Opt::temp_name, "temp-name", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: see state-dir",
           "There is no temporary drop; the journal lies in state-dir.", true},
    Option{Opt::cache_dir, "cache-dir", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: see state-dir", "The index lies in state-dir.",
           true},
    Option{Opt::cache_name, "cache-name", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: see state-dir",
           "The index lies in state-dir.", true},
    Option{Opt::mail_lock_check, "mail-lock-check", 'L', Type::integer, Scope::I, "5000", 0, 1000000, "", "obsolete: no need",
           "Locks are refreshed by time, whatever the number of messages.", true},
};

}  // namespace qpop::config
