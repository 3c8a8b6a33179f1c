// SPDX-License-Identifier: MIT
// Rows of the option table (options.h): log lines.
#pragma once

#include <array>

#include "common/config/option.h"

namespace qpop::config {

inline constexpr std::array kLogRows{
    Option{Opt::statistics, "statistics", 's', Type::boolean, Scope::N, "false", 0, 0, "", "one Stats: log line for each session that ends with QUIT",
           "Stats: USER deleted-messages deleted-octets left-messages left-octets CLIENT ADDRESS.", false},
    Option{Opt::log_facility, "log-facility", 'y', Type::mnemonic, Scope::I, "mail", 0, 0,
           "mail local0 local1 local2 local3 local4 local5 local6 local7", "syslog facility", "Qpopper used local0 on many systems.",
           false},
    Option{Opt::log_target, "log-target", 0, Type::mnemonic, Scope::I, "syslog", 0, 0, "syslog stderr", "where log lines go",
           "With stderr each line goes to the standard error of the server, with time and severity; never to a client.", false},
    Option{Opt::timing, "timing", 0, Type::boolean, Scope::N, "false", 0, 0, "", "one Timing for line for each session",
           "Timing for USER@CLIENT (normal or error) auth=N init=N clean=N: seconds until the login, for opening the maildrop, and for the update.", false},
    Option{Opt::log_login, "log-login", 0, Type::text, Scope::I, "(v%0) POP login by user \"%1\" at (%2) %3", 0, 0, "", "line logged at each login",
           "%0 is the version, %1 the user, %2 the client's name (its address when no name is known), %3 its address. Empty: no line.", false},
    Option{Opt::debug, "debug", 'd', Type::boolean, Scope::N, "false", 0, 0, "", "log every command",
           "Commands and the first line of each answer are logged, passwords left out.", false},
    Option{Opt::tracefile, "tracefile", 't', Type::text, Scope::I, "", 0, 0, "", "file to which all log lines go as well",
           "Appended to, with date and process number; made with mode 0600. It must be a regular file of the user who started the server that nobody else can write. The flag "
           "-t also sets debug. Syslog goes on (in Qpopper it did not).",
           false},
    Option{Opt::metrics_listen, "metrics-listen", 0, Type::text, Scope::I, "", 0, 0, "", "where counters can be fetched, in OpenMetrics form",
           "A loopback address with a port, as 127.0.0.1:9110, or the path of a Unix socket that root alone can use. Whoever connects is sent the counters as an answer "
           "of HTTP, whatever he asks. popper --metrics prints the same. Stand-alone servers only.",
           false},
};

}  // namespace qpop::config
