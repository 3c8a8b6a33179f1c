// SPDX-License-Identifier: MIT
// Rows of the option table (options.h): where mail lies, and how it is handled.
#pragma once

#include <array>

#include "common/config/option.h"

namespace qpop::config {

inline constexpr std::array kMailRows{
    Option{Opt::spool_dir, "spool-dir", 0, Type::text, Scope::U, "/var/mail", 0, 0, "", "folder of the spools",
           "Each user's maildrop is the file of his name in it, mbox or MMDF.", false},
    Option{Opt::state_dir, "state-dir", 0, Type::text, Scope::I, "/var/lib/popper", 0, 0, "", "folder for index and journal files",
           "Holds one folder for each user (0700, owned by him) with the index, which may be deleted at any time, and during an "
           "update the journal, which may not.",
           false},
    Option{Opt::mail_user, "mail-user", 0, Type::text, Scope::I, "", 0, 0, "", "owner of all maildrops",
           "When set, accounts exist in the database alone and every maildrop belongs to this system user. Without it each "
           "account is a system user. A server that was not started by root always works as if its own user stood here.",
           false},
    Option{Opt::mail_locks, "mail-locks", 0, Type::text, Scope::I, "dotlock fcntl flock lease", 0, 0, "",
           "locks taken on a spool, separated by blanks",
           "Any of dotlock, fcntl, flock and lease, or none. All of them are tried without waiting and released together when one is "
           "busy, so that no order of another program can deadlock with ours. lease is no lock but a wall against programs that "
           "take none: while a spool is changed, their open(2) waits; it is tried and never insisted on. Leave flock and lease "
           "out where the spools lie on NFS.",
           false},
    Option{Opt::mail_lock_timeout, "mail-lock-timeout", 0, Type::seconds, Scope::I, "30", 1, 200, "",
           "time to wait for the locks of a spool", "Waiting longer ends with -ERR [SYS/TEMP]; an update waits four times as long.",
           false},
    Option{Opt::no_atomic_open, "no-atomic-open", 0, Type::boolean, Scope::U, "false", 0, 0, "",
           "make lock files with link(2)",
           "A lock file is made under another name and linked to its own, instead of with O_EXCL, which old NFS servers do not "
           "honour.",
           false},
};

}  // namespace qpop::config
