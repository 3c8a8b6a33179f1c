// SPDX-License-Identifier: MIT
// What is done with one spool, by a process that has the rights of its owner and no others.
#pragma once

#include <memory>

#include "common/base/clock.h"
#include "common/spool/context.h"
#include "popcheck/print.h"
#include "popcheck/target.h"

namespace qpop::popcheck {

/// Open folders and the lock file; the descriptors are made before rights are given up.
struct Place {
  const Command& command;
  const config::Settings& settings;
  const Target& target;
  base::UniqueFd folder;
  base::UniqueFd state;  ///< invalid: there is none
  std::unique_ptr<files::Dotlock> dotlock;
  std::unique_ptr<files::Dotlock> other_dotlock;  ///< of the agent that --locks plays
  files::SystemFileSystem fs;
  base::SystemClock clock;

  [[nodiscard]] spool::Context context() { return {.fs = fs, .clock = clock, .dotlock = *dotlock}; }
  [[nodiscard]] spool::MaildropPaths paths() const {
    return {.spool_folder_fd = folder.get(), .spool_name = target.name, .state_folder_fd = state.get(), .owner_uid = target.uid};
  }
  [[nodiscard]] spool::MailLockKinds locks() const;
  [[nodiscard]] std::int64_t now_s() { return clock.realtime_ns() / 1'000'000'000; }
};

/// Option no-atomic-open: how all lock files are made.
[[nodiscard]] files::LockCreation lock_creation(const config::Settings& settings);

[[nodiscard]] Outcome check_spool(Place& place);
/// The spool has too many holes to be read. false also when it cannot be opened.
[[nodiscard]] bool is_mostly_holes(Place& place);
[[nodiscard]] Outcome check_stdin(const Command& command);
/// What is to be said of a plan; its first report goes there.
void tell_plan(Outcome& outcome, check::Plan& plan);
/// Repair and dry run.
[[nodiscard]] Outcome repair_spool(Place& place);
/// A ledger that was named: where it lies, and its file name there.
struct NamedLedger {
  base::UniqueFd folder;
  std::string folder_path;
  std::string name;
};
/// `named`: null: the ledger of the last repair in the state folder. What a ledger says of its spool's path is not looked at.
[[nodiscard]] Outcome undo_repair(Place& place, const NamedLedger* named);
[[nodiscard]] Outcome recover_spool(Place& place, bool has_session_lock = false);
[[nodiscard]] Outcome test_locks(Place& place);
/// Says what the ledger in `ledgers` proves of the spool in `folder` (verify.cc).
[[nodiscard]] Outcome verify_ledger(int ledgers, const std::string& name, int folder, const std::string& spool);

[[nodiscard]] Outcome failed(const base::Error& error, std::vector<std::string> warnings = {});

}  // namespace qpop::popcheck
