// SPDX-License-Identifier: MIT
// The signer role: reads the server's certificates and private keys from descriptors it is given, judges them, and answers "sign this digest
// with key n". It also keeps the TLS sessions that may be resumed.
//
// Why apart: whoever captures a process that talks to clients gets neither a key nor another client's session.
// Runs as: tls-user (popkey) in an empty root, no_new_privs, seccomp, Landlock without any file; it holds private keys, a channel to the monitor
// and one to each session that may begin TLS.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/ipc/channel.h"

namespace qpop::signer {

struct Start {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string empty_root;  ///< "" when not root
  std::string ciphers;     ///< option tls-cipher-list
  bool only_1_2 = false;
  bool only_1_3 = false;
  ipc::Channel monitor;
};

/// Serves until the monitor is gone, or has said EndSession and all sessions are gone. Returns the exit code of the process.
int run_signer(Start start);

}  // namespace qpop::signer
