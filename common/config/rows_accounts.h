// SPDX-License-Identifier: MIT
// Rows of the option table (options.h): who may log in, and how.
#pragma once

#include <array>

#include "common/config/option.h"

namespace qpop::config {

inline constexpr std::array kAccountsRows{
    Option{Opt::auth_db, "auth-db", 0, Type::text, Scope::I, "/etc/pop.auth", 0, 0, "", "database of accounts",
           "Made by popauth -init; owned by the user pop, mode 0600. The key that opens APOP secrets lies beside it in a file "
           "of the same name with .key at its end.",
           false},
    Option{Opt::auth_backends, "auth-backends", 0, Type::text, Scope::I, "database pam", 0, 0, "",
           "where passwords are checked, separated by blanks",
           "Any of database (auth-db, all mechanisms), pam (service qpopper; clear passwords only) and shadow (the shadow file, for "
           "systems without PAM; clear passwords only). A user who has an account in the database is checked there only, wherever it "
           "stands in the list: his system password would otherwise open a door that popauth -disable or a new POP password had "
           "closed. Who has none is looked for in the others in their order; the next is asked only when the one before does not "
           "know the user. A database that exists and cannot be read ends every login with -ERR [SYS/TEMP], because nobody can tell "
           "then who has an account in it; one that does not exist counts as empty when pam or shadow stands here. pam and shadow "
           "are for system users: they are not asked when mail-user is set or the server was not started by root.",
           false},
    Option{Opt::sasl_mechanisms, "sasl-mechanisms", 0, Type::text, Scope::I, "apop scram-sha-256-plus scram-sha-256 external cram-md5 plain login", 0, 0, "",
           "APOP and mechanisms of AUTH that may be used, separated by blanks",
           "Of those in the list a client is offered what can be used: scram-sha-256 where the database holds an account, scram-sha-256-plus where "
           "channel-binding allows it, apop and cram-md5 where an account has an APOP secret, external with a certificate (tls-client-ca-file), plain and login where "
           "clear-text-password allows a clear password. What is not in the list is neither announced nor accepted: CAPA and AUTH do not show it, "
           "without apop the greeting holds no time stamp, and who asks for it is answered as for a mechanism that does not exist. An empty list leaves USER and PASS, "
           "which clear-text-password judges alone. A list without cram-md5 is for clients that choose it as soon as they see it, also for users who have "
           "no APOP secret and so cannot log in by it, curl for one.",
           false},
    Option{Opt::auth_file, "auth-file", 0, Type::text, Scope::I, "", 0, 0, "", "file of the only users who may log in",
           "One user name a line, compared as it is, no comments. Must belong to root and be writable by nobody else. When it cannot be "
           "read nobody may log in. To the client a user who is not in it looks like a wrong password; the log has the reason.",
           false},
    Option{Opt::nonauth_file, "nonauth-file", 0, Type::text, Scope::I, "", 0, 0, "", "file of users who may not log in",
           "As auth-file, the other way round. When it cannot be read nobody may log in (Qpopper let everybody in).", false},
    Option{Opt::clear_text_password, "clear-text-password", 'p', Type::mnemonic, Scope::U, "default", 0, 0,
           "default never always local tls", "when USER and PASS, AUTH PLAIN and LOGIN are allowed",
           "default: inside TLS, or from loopback. never: not at all. always: everywhere, which gives passwords to anybody on the "
           "way. local: from loopback only, and not for a user who has an APOP secret, who must use it, as in Qpopper; inside TLS he need "
           "not. tls or ssl: inside TLS only, also for a user with an APOP secret (Qpopper refused him). "
           "A user who must use APOP is answered as for a wrong password, after it was sent: asked at USER, as Qpopper did, it would tell "
           "anybody who has an account.",
           false},
    Option{Opt::failed_login_delay, "failed-login-delay", 0, Type::seconds, Scope::I, "2", 0, 25, "",
           "first wait after a wrong password; 0: never wait",
           "Doubled by each further wrong password of the same address block (one IPv4 address, one IPv6 /48), up to 60 seconds, and "
           "halved again every five minutes. It is waited before the next password of that block is looked at, and, up to 16 "
           "seconds, before a refusal is answered; others are not delayed. An attempt whose turn has not come after 60 seconds is answered "
           "-ERR [SYS/TEMP] and not looked at. The same wrong clear password again, as a saved client sends it, raises nothing. "
           "Wrong passwords for one user from many addresses are counted too: the ninth makes further attempts wait, one is forgotten "
           "every minute, and addresses from which the user has logged in before are spared. The waits are kept in the file "
           "penalties of state-dir, which may be deleted at any time.",
           false},
    Option{Opt::block_uid, "block-uid", 0, Type::integer, Scope::I, "10", 0, 4294967294, "", "highest uid that may not log in",
           "System users with this uid or a lower one are refused, by any mechanism; uid 0 always is.", false},
    Option{Opt::check_shell, "check-shell", 0, Type::boolean, Scope::I, "false", 0, 0, "", "only users with a login shell",
           "The user's shell must stand in /etc/shells; a line /POPPER/ANY/SHELL/ there admits every shell. In Qpopper a choice of "
           "whoever compiled it (CHECK_SHELL). Not used when mail-user is set.",
           false},
    Option{Opt::check_password_expired, "check-password-expired", 0, Type::boolean, Scope::I, "true", 0, 0, "",
           "back end shadow: honour the age of passwords",
           "A password older than the shadow file's maximum age, or one that must be changed, is refused. PAM decides for itself.", false},
    Option{Opt::downcase_user, "downcase-user", 'c', Type::boolean, Scope::U, "false", 0, 0, "", "user names in lower case",
           "A to Z in the user name become a to z before anything else is done with it.", false},
    Option{Opt::trim_domain, "trim-domain", 'C', Type::boolean, Scope::U, "false", 0, 0, "", "cut user names at the first @",
           "ada@example.org logs in as ada.", false},
};

}  // namespace qpop::config
