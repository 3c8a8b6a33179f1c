// SPDX-License-Identifier: MIT
// Rows of the option table (options.h): certificates and TLS.
#pragma once

#include <array>

#include "common/config/option.h"

namespace qpop::config {

inline constexpr std::array kTlsRows{
    Option{Opt::tls_support, "tls-support", 'l', Type::mnemonic, Scope::I, "default", 0, 0, "none stls alternate-port default",
           "TLS: none, by STLS, or from the first octet",
           "stls: clients may ask for TLS with STLS; listen values that begin with tls: serve others from the first octet. "
           "alternate-port: all clients begin with TLS; for a server of its own on port 995, from inetd for example. In both cases a certificate "
           "that cannot be used keeps the server from starting. none: no TLS. default: as stls when the file of tls-server-cert-file exists or a "
           "listen value begins with tls:, else as none (Qpopper: none). A handshake that fails ends the connection; nothing said before it counts.",
           false},
    Option{Opt::tls_server_cert_file, "tls-server-cert-file", 0, Type::text, Scope::I, "/etc/mail/certs/cert.pem", 0, 0, "",
           "certificate chain of the server, in PEM",
           "The server's own certificate first, then its issuers, without the root; with the private key, unless "
           "tls-private-key-file names a file for that. popcert init makes one, popcert check says what is wrong with it. The file is watched: "
           "a new certificate is used for the next handshake, without a restart; one that cannot be used (expired, of another key, not in order) is "
           "refused with a log line, and the old one stays in use.",
           false},
    Option{Opt::tls_private_key_file, "tls-private-key-file", 0, Type::text, Scope::I, "", 0, 0, "",
           "private key of the server, in PEM",
           "Default: in the file of tls-server-cert-file. Not encrypted, mode 0600 or 0640, owned by root. Read by a process of its own (tls-user); those that "
           "talk to clients never hold it.",
           false},
    Option{Opt::tls_more_cert_files, "tls-more-cert-files", 0, Type::list, Scope::I, "", 0, 0, "", "further certificates, repeatable",
           "One file with private key and chain in each line. A client that asks for a host name (SNI) gets the certificates for it, any other the "
           "first of each kind of key, beginning with tls-server-cert-file; so an RSA certificate can stand beside an ECDSA one.",
           false},
    Option{Opt::tls_client_ca_file, "tls-client-ca-file", 0, Type::text, Scope::I, "", 0, 0, "", "authorities of client certificates, in PEM",
           "When set, clients are asked for a certificate. Who has one of these authorities, and an account in the database of that name, may log in with AUTH "
           "EXTERNAL as the common name of it, with TLS 1.3. popcert's own authorities are for servers alone and cannot stand here. "
           "Who has none, or another one, logs in as without.",
           false},
    Option{Opt::tls_version, "tls-version", 0, Type::mnemonic, Scope::I, "default", 0, 0, "default all sslv23 tlsv1 tlsv1.1 tlsv1.2 tlsv1.3 sslv2 sslv3",
           "versions of TLS",
           "default, all, sslv23: 1.2 and 1.3. tlsv1.2 or tlsv1.3: that one only. tlsv1 and tlsv1.1 count as default, with a warning: RFC 8996 forbids "
           "those versions. sslv2 and sslv3 are refused.",
           false},
    Option{Opt::tls_cipher_list, "tls-cipher-list", 0, Type::text, Scope::I, "", 0, 0, "", "ciphers of TLS 1.2, as in openssl-ciphers(1)",
           "Default: ECDHE with AES-GCM or ChaCha20. Key exchange by RSA is never possible, because no process could decrypt with the key. TLS 1.3 has no "
           "weak ciphers to choose from.",
           false},
    Option{Opt::channel_binding, "channel-binding", 0, Type::boolean, Scope::I, "false", 0, 0, "", "offer SCRAM-SHA-256-PLUS inside TLS",
           "The login is bound to the connection, so that a server in between is noticed even if it has a certificate that the client trusts. Off, because "
           "mutt 2.2 tries the mechanism, gives up in a way that loses step with the server, and then cannot log in at all.",
           false},
    Option{Opt::tls_user, "tls-user", 0, Type::text, Scope::I, "popkey", 0, 0, "", "user of the process that holds the private keys",
           "Must own no file. Used when the server is started by root and offers TLS.", false},
};

}  // namespace qpop::config
