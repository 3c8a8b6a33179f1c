// SPDX-License-Identifier: MIT
// Asks for the name of one client's address, so that nobody else has to wait for a name server.
//
// Runs as: session-user. It sees the network's name service, and nothing of ours.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/ipc/channel.h"

namespace qpop::resolver {

struct Start {
  std::string address;  ///< numeric
  uid_t uid = 0;
  gid_t gid = 0;
  ipc::Channel monitor;
};

/// Sends ClientName when the address has a name that has the address. Returns the exit code.
int run_resolver(Start start);

}  // namespace qpop::resolver
