// SPDX-License-Identifier: MIT
// Rows of the option table (options.h): what clients are told and may do.
#pragma once

#include <array>

#include "common/config/option.h"

namespace qpop::config {

inline constexpr std::array kProtocolRows{
    Option{Opt::shy, "shy", 0, Type::boolean, Scope::I, "false", 0, 0, "", "hide name and version before login",
           "The greeting is +OK ready, and CAPA shows IMPLEMENTATION only after login.", false},
    Option{Opt::announce_expire, "announce-expire", 0, Type::days, Scope::N, "never", 0, 36500, "", "EXPIRE in CAPA",
           "A number of days, or never. An announcement only: clients may tell their users, or delete mail sooner. With expire-after, which does delete, "
           "CAPA shows the lower of both. Qpopper's default was 0.",
           false},
    Option{Opt::announce_login_delay, "announce-login-delay", 0, Type::seconds, Scope::U, "0", 0, 86400, "", "LOGIN-DELAY in CAPA",
           "Time that must pass between two logins of one user. Announced when it is not 0, and kept to: who comes earlier is answered -ERR [LOGIN-DELAY]. In "
           "Qpopper it was announced only, and users could set it themselves.",
           false},
    Option{Opt::mail_command, "mail-command", 0, Type::text, Scope::U, "", 0, 0, "", "program that sends mail for XTND XMIT",
           "With its full path, for example /usr/sbin/sendmail. It gets the message on standard input and the arguments -t -i -oem, and runs as the user. "
           "Without it XTND XMIT is refused (Qpopper had a default).",
           false},
};

}  // namespace qpop::config
