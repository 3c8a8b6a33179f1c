// SPDX-License-Identifier: MIT
// The authenticator role: checks credentials against the database, has system accounts checked by a process that the monitor starts,
// and tells the monitor, on its own channel, who logged in.
//
// Runs as: pop, owner of the database; it never sees network or mail. Failures are answered late, without blocking others.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "common/base/unique_fd.h"
#include "common/ipc/channel.h"
#include "common/ipc/messages.h"

namespace qpop::authenticator {

struct Start {
  std::string database;
  base::UniqueFd key;        ///< private key of the APOP secrets; invalid: no APOP, no CRAM-MD5
  base::UniqueFd penalties;  ///< file of waits, shared with other servers' authenticators; invalid: kept in memory
  uid_t uid = 0;
  gid_t gid = 0;
  std::int64_t failed_login_delay_s = 2;
  std::string server_name;
  bool ask_database = true;  ///< option auth-backends names it
  bool ask_system = false;         ///< it names pam or shadow, and accounts are system users
  bool bind_channels = false;      ///< option channel-binding
  bool take_certificates = false;  ///< AUTH EXTERNAL
  ipc::LoginMechanismSet mechanisms = ipc::kAllMechanisms;  ///< option sasl-mechanisms
  ipc::Channel monitor;
};

/// Gives up all other rights, serves until the monitor closes its channel, and returns the exit code.
int run_authenticator(Start start);

}  // namespace qpop::authenticator
