// SPDX-License-Identifier: MIT
// The options that hold for one user: the server's, then his own option file, then the one the administrator made for him.
// Runs as: the owner of the mail, before it closes the file system to itself. The monitor never sees these files.
#pragma once

#include <optional>
#include <string>

#include "common/config/placement.h"
#include "common/files/dotlock.h"
#include "common/ipc/messages.h"
#include "common/spool/maildrop.h"
#include "popper/maildrop/maildrop.h"

namespace qpop::maildrop {

struct UserRules {
  config::Settings settings;
  config::Placement placement;
  /// The option files put the spool elsewhere than the monitor knows: then lock files are made with the user's rights.
  bool placed_by_user = false;
};

/// Reads the option files; what is wrong with them is logged, and the session goes on.
[[nodiscard]] UserRules read_user_rules(const Job& job);

/// For the maildrop library; without temporary drops and bulletins.
[[nodiscard]] spool::MaildropSettings maildrop_settings(const config::Settings& settings);
[[nodiscard]] mbox::UniqueIdForm unique_id_form(const config::Settings& settings);
/// For lock files that are made with the user's rights.
[[nodiscard]] files::LockCreation lock_creation(const config::Settings& settings);

/// What the session has to know.
[[nodiscard]] ipc::MaildropOpened session_rules(const config::Settings& settings);
/// What the monitor has to know.
[[nodiscard]] ipc::UserSettings monitor_rules(const config::Settings& settings);

}  // namespace qpop::maildrop
