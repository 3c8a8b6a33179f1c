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
    Option{Opt::cache_dir, "cache-dir", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: see state-dir", "The index lies in state-dir.",
           true},
    Option{Opt::cache_name, "cache-name", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: see state-dir",
           "The index lies in state-dir.", true},
    Option{Opt::mail_lock_check, "mail-lock-check", 'L', Type::integer, Scope::N, "5000", 0, 1000000, "", "obsolete: no need",
           "Locks are refreshed by time, whatever the number of messages.", true},
    Option{Opt::group_server_mode, "group-server-mode", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: always so",
           "Every user has what server mode promised.", true},
    Option{Opt::group_no_server_mode, "group-no-server-mode", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: no need",
           "Other programs may change the spool at any time, so nobody has to be kept out of server mode.", true},
    Option{Opt::chunky_writes, "chunky-writes", 0, Type::mnemonic, Scope::N, "default", 0, 0, "default always tls ssl never", "obsolete: always so",
           "An answer always leaves in as few writes as can be, in full TLS records.", true},
    Option{Opt::bulldb_nonfatal, "bulldb-nonfatal", 'B', Type::boolean, Scope::N, "false", 0, 0, "", "obsolete: see popbull-dir",
           "There is no bulletin database; the number of the last bulletin lies in state-dir. popper --import-bulldb FILE takes the numbers of an old one over, once.", true},
    Option{Opt::bulldb_max_tries, "bulldb-max-tries", 0, Type::integer, Scope::N, "75", 0, 1000000, "", "obsolete: see popbull-dir",
           "There is no bulletin database; the number of the last bulletin lies in state-dir. popper --import-bulldb FILE takes the numbers of an old one over, once.", true},
    Option{Opt::drac_host, "drac-host", 'D', Type::text, Scope::N, "", 0, 0, "", "obsolete: see login-command",
           "Let login-command run a client of whatever has to know of logins.", true},
    Option{Opt::kerberos, "kerberos", 'k', Type::boolean, Scope::U, "false", 0, 0, "", "obsolete: see auth-backends",
           "Kerberos passwords can be checked by PAM (auth-backends).", true},
    Option{Opt::kerberos_service, "kerberos-service", 'K', Type::text, Scope::U, "", 0, 0, "", "obsolete: see auth-backends",
           "Kerberos passwords can be checked by PAM (auth-backends).", true},
    Option{Opt::tls_options, "tls-options", 0, Type::text, Scope::U, "", 0, 0, "", "obsolete: see tls-version",
           "The numbers meant options of the OpenSSL of their time and mean others today. What is safe is always set; see tls-version and tls-cipher-list.", true},
    Option{Opt::tls_workarounds, "tls-workarounds", 0, Type::boolean, Scope::U, "false", 0, 0, "", "obsolete: no need",
           "The clients that needed them do not speak TLS 1.2.", true},
    Option{Opt::tls_identity_file, "tls-identity-file", 0, Type::text, Scope::I, "", 0, 0, "", "obsolete: see tls-server-cert-file",
           "It was for another library; put key and certificates in PEM into the file of tls-server-cert-file (popcert install takes them in any form).", true},
    Option{Opt::tls_passphrase, "tls-passphrase", 0, Type::text, Scope::I, "", 0, 0, "", "obsolete: see tls-private-key-file",
           "A server that starts by itself cannot be asked for it, and one that lies beside the key protects nothing: store the key without (popcert install).", true},
};

}  // namespace qpop::config
