// SPDX-License-Identifier: MIT
// Rows of the option table (options.h): certificates and TLS.
#pragma once

#include <array>

#include "common/config/option.h"

namespace qpop::config {

inline constexpr std::array kTlsRows{
    Option{Opt::tls_server_cert_file, "tls-server-cert-file", 0, Type::text, Scope::I, "/etc/mail/certs/cert.pem", 0, 0, "",
           "certificate chain of the server, in PEM",
           "The server's own certificate first, then its issuers, without the root; with the private key, unless "
           "tls-private-key-file names a file for that. popcert init makes one, popcert check says what is wrong with it. Read by "
           "popcert; this server has no TLS yet.",
           false},
    Option{Opt::tls_private_key_file, "tls-private-key-file", 0, Type::text, Scope::I, "", 0, 0, "",
           "private key of the server, in PEM", "Default: in the file of tls-server-cert-file. Not encrypted, mode 0600. Read by popcert; this server has no TLS yet.", false},
};

}  // namespace qpop::config
