// SPDX-License-Identifier: MIT
// popper --compare-uidl and --import-uidl: would a client download anything again, and making sure that it does not.
//
// Runs as: the owner of the mail, from the moment that anything is read but our own configuration.
#pragma once

#include <string>

#include "common/base/unique_fd.h"
#include "popper/maildrop/maildrop.h"

namespace qpop::takeover {

struct Task {
  bool import = false;
  std::string against;    ///< a file, opened as `file`, or HOST:PORT
  base::UniqueFd file;    ///< invalid: HOST:PORT
  std::string password;   ///< for HOST:PORT
  maildrop::Job job;      ///< whose maildrop; `monitor` leads to who makes the lock file beside the spool
};

/// Exit codes; they stand in popper(8).
inline constexpr int kDownloadsAgain = 6;
inline constexpr int kFailed = 3;

/// Drops to the owner, does the work, prints what it found, and returns the exit code. A comparison leaves mail, index and unique-ids as
/// they are: a Qpopper may go on serving the maildrop afterwards. It does lock the spool while it reads it, and finding the maildrop has made
/// the folders that are missing (Monitor::find_owner).
int run_takeover(Task task);

}  // namespace qpop::takeover
