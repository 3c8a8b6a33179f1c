// SPDX-License-Identifier: MIT
// The session role: speaks POP3 with one client, from greeting to sign-off, and holds no right at any time.
//
// Runs as: popnet in an empty root, no_new_privs, seccomp allow-list; it owns the client's socket, its channels to monitor and
// authenticator, and after login read-only descriptors of one spool and its listing.
// Source: RFC 1939; greeting and sign-off in the words of the original.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/ipc/channel.h"
#include "popper/session/tls_link.h"

namespace qpop::session {

struct Start {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string empty_root;  ///< folder to chroot into; "" when not root
  ipc::Channel monitor;
};

/// `tls`: prepared where clients may want TLS. Gives up every right, waits for a client, serves it, and returns the exit code of the process.
int run_session(Start start, TlsLink& tls);

}  // namespace qpop::session
