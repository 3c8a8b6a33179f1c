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
};

}  // namespace qpop::config
