// SPDX-License-Identifier: MIT
// One run of popper --recover, and the names it looks for.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "popper/monitor/roles.h"

namespace qpop::monitor {

/// Folders in the state folder: of system users, and of accounts that exist in the database alone.
inline constexpr const char* kSystemFolders = "/u/";
inline constexpr const char* kVirtualFolders = "/v/";

/// As in common/spool, which the monitor does not know; popper/main.cc holds them together.
inline constexpr const char* kJournalName = "journal";
inline constexpr const char* kJournalTemporaryName = "journal.tmp";
inline constexpr const char* kExpungedName = "expunged";

/// Exit code: at least one maildrop was not recovered.
inline constexpr int kNotRecovered = 5;

/// Errors  denied; io.
[[nodiscard]] base::Result<bool> has_file(const std::string& folder, const char* name);

struct RecoveryRun {
  struct Item {
    std::string label;  ///< whose maildrop, fit to be printed
    std::string folder;
    bool committed = false;    ///< an update of it is
    bool only_hidden = false;  ///< there is no journal, only a file of hidden messages
    MailOwner owner;
  };
  std::deque<Item> waiting;
  std::map<std::string, Item> at_work;  ///< by state folder
  unsigned done = 0;
  unsigned without = 0;
  unsigned failed = 0;
  unsigned to_be_looked_at = 0;
};

}  // namespace qpop::monitor
