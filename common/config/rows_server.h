// SPDX-License-Identifier: MIT
// Rows of the option table (options.h): sockets, limits and processes.
#pragma once

#include <array>

#include "common/config/option.h"

namespace qpop::config {

inline constexpr std::array kServerRows{
    Option{Opt::listen, "listen", 0, Type::list, Scope::I, "", 0, 0, "", "address and port to serve, repeatable",
           "Value [address][:port], for example 110, 192.0.2.1:110 or [::1]:110. Each line adds one. Addresses may also be "
           "given as arguments. Without an address all IPv4 and IPv6 addresses are served. With tls: in front, as in tls:995 or "
           "tls:192.0.2.1:995, clients begin with TLS (port 995 when none is given). Not used when the server is started "
           "from inetd or with sockets from systemd; of the latter, those that systemd names tls or pop3s (FileDescriptorName) begin with TLS.",
           false},
    Option{Opt::timeout, "timeout", 'T', Type::seconds, Scope::N, "600", 30, 86400, "", "idle time after which a session is ended",
           "The autologout inactivity timer of RFC 1939. Nothing is deleted when it runs out. RFC 1939 asks for at least ten "
           "minutes; Qpopper's default was 120.",
           false},
    Option{Opt::login_timeout, "login-timeout", 0, Type::seconds, Scope::I, "60", 1, 3600, "",
           "time from connecting to a successful login", "A client that has not logged in by then is disconnected.", false},
    Option{Opt::write_timeout, "write-timeout", 0, Type::seconds, Scope::I, "120", 1, 3600, "",
           "time a client may take to accept any output", "A client that reads nothing for so long is disconnected.", false},
    Option{Opt::max_sessions, "max-sessions", 0, Type::integer, Scope::I, "500", 1, 100000, "", "sessions at the same time",
           "Further clients are told -ERR [SYS/TEMP] and disconnected.", false},
    Option{Opt::max_sessions_per_address, "max-sessions-per-address", 0, Type::integer, Scope::I, "50", 1, 100000, "",
           "sessions at the same time from one address block",
           "A block is one IPv4 address or one IPv6 /48. Loopback counts like any other address.", false},
    Option{Opt::max_unauthenticated, "max-unauthenticated", 0, Type::integer, Scope::I, "200", 1, 100000, "",
           "sessions at the same time that have not logged in",
           "When it is reached, the oldest session that has not logged in is ended to make room.", false},
    Option{Opt::spare_sessions, "spare-sessions", 0, Type::integer, Scope::I, "4", 1, 64, "", "session processes kept waiting",
           "Processes that are started, and have given up all rights, before a client arrives.", false},
    Option{Opt::session_user, "session-user", 0, Type::text, Scope::I, "popnet", 0, 0, "", "user of the processes that talk to clients",
           "Must own no file. Used when the server is started by root.", false},
    Option{Opt::auth_user, "auth-user", 0, Type::text, Scope::I, "pop", 0, 0, "", "user that owns the database of accounts",
           "Used when the server is started by root.", false},
    Option{Opt::server_name, "server-name", 0, Type::text, Scope::I, "", 0, 0, "", "host name in greeting and sign-off",
           "Default is the host's own name.", false},
    Option{Opt::pid_file, "pid-file", 0, Type::text, Scope::I, "", 0, 0, "", "file that holds the server's process number",
           "Written by a stand-alone server once it serves, removed when it ends.", false},
    Option{Opt::config_file, "config-file", 'f', Type::text, Scope::N, "", 0, 0, "", "read another configuration file here",
           "Its lines count as if they stood in this place; files may be nested 100 deep.", false},
    Option{Opt::user_options, "user-options", 'u', Type::boolean, Scope::U, "false", 0, 0, "", "honour .qpopper-options in the home folder",
           "After login, before the maildrop is opened, the file .qpopper-options in the user's home folder is read, with his own rights and "
           "only when it is a regular file of his that nobody else can write. It may hold the options that users may set, as is said with each of them. What else "
           "it holds is skipped and logged. Not used for accounts that exist in the database alone.",
           false},
    Option{Opt::spool_options, "spool-options", 'U', Type::boolean, Scope::U, "false", 0, 0, "",
           "honour .USER.qpopper-options in the spool folder",
           "Read behind the user's own file, so that the administrator has the last word: the file .USER.qpopper-options in spool-dir (not in a "
           "hashed folder below it). A file that belongs to the user who started the server, root as a rule, may also hold options that are "
           "said to be for spool-options files; one that belongs to the user counts like his own. Nobody else may be able to write it.",
           false},
    Option{Opt::login_command, "login-command", 0, Type::text, Scope::I, "", 0, 0, "", "program to run after each login",
           "A program with its full path, and arguments separated by blanks; no shell is used. It runs as session-user, for at most 30 seconds, and the "
           "login does not wait for it. Its environment holds POP_USER, POP_CLIENT (the address) and POP_SERVER; its output is dropped. It takes the "
           "place of Qpopper's DRAC client.",
           false},
    Option{Opt::reverse_lookup, "reverse-lookup", 'R', Type::boolean, Scope::U, "false", 0, 0, "", "look up names of clients for the log",
           "A process without rights asks the resolver for the name of each client's address, and whether that name has the address; no session waits "
           "for it, and lines that are logged before it answers hold the address in both places. The flag -R switches it off. In "
           "Qpopper true switched it off as well (its sense was reversed), and the flag -R as here.",
           false},
};

}  // namespace qpop::config
