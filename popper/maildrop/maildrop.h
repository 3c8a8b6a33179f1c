// SPDX-License-Identifier: MIT
// The maildrop role: opens or updates the maildrop of one user, then ends.
//
// Runs as: the owner of the mail, under Landlock on spool folder and state folder; it never sees the network.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "common/config/settings.h"
#include "common/ipc/channel.h"

namespace qpop::maildrop {

enum class Work : std::uint8_t { open, update, recover };

struct Job {
  bool waits = false;  ///< for the message that says what work, and whose
  Work work = Work::open;
  std::string name;  ///< of the user
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home;  ///< "" for accounts without one
  std::string state_folder;
  std::string server_name;
  const config::Settings* settings = nullptr;  ///< the server's; those of the user are read by this process
  uid_t administrator = 0;                     ///< whose option files may set more than the user's own
  std::uint64_t boot = 0;                      ///< which run of the kernel this is (spool::Context)
  ipc::Channel monitor;
  ipc::Channel session;
};

/// Exit code of an update that failed: its journal may stand, so the monitor starts a recovery at once.
inline constexpr int kUpdateFailed = 5;

/// Drops to the owner, does the job, answers the session, and returns the exit code.
int run_maildrop(Job job);

}  // namespace qpop::maildrop
