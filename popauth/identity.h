// SPDX-License-Identifier: MIT
// Who calls, who owns the database, and the switch between the two.
//
// Set-uid: real uid = the caller, saved uid = the owner (`pop`). The effective uid is the caller's from the start on,
// the owner's only inside a DatabaseRights, and before a write the owner's uid takes all three places, so that the
// caller can no longer signal us.
#pragma once

#include <sys/types.h>

#include <string>

#include "common/base/result.h"

namespace qpop::popauth {

class Identity {
 public:
  /// Takes the ids of the process and drops the effective ones to the caller's at once.
  /// Errors  unsafe: set-uid to root, or a drop failed; the program must end.
  [[nodiscard]] static base::Result<Identity> take();

  [[nodiscard]] uid_t real_uid() const { return real_; }
  [[nodiscard]] bool is_root() const { return real_ == 0; }
  /// Lent to somebody else by the set-uid bit: file names and settings of the caller count for nothing.
  [[nodiscard]] bool is_lent() const { return lent_; }

  /// Owner of the database: the set-uid owner; `pop` when root runs the bare program; else the caller.
  /// Errors  not_found: there is no user `pop`.
  [[nodiscard]] base::Result<uid_t> owner() const;

  /// Root, or the owner of the database.
  [[nodiscard]] bool is_administrator() const;

  /// Login name of the real uid from the password file, never from the environment; empty when there is none.
  [[nodiscard]] const std::string& name() const { return name_; }

  /// Name for the log: the login name or "uid N".
  [[nodiscard]] std::string who() const;

  /// All ids become the owner's, for good, and that is proven.
  /// Errors  unsafe: the program must end.
  [[nodiscard]] base::Status become_owner() const;

 private:
  uid_t real_ = 0;
  uid_t effective_at_start_ = 0;
  bool lent_ = false;
  std::string name_;
};

/// Effective uid of the owner as long as it lives. Ends the process when the way back fails.
class DatabaseRights {
 public:
  [[nodiscard]] static base::Result<DatabaseRights> take(const Identity& identity);
  DatabaseRights(DatabaseRights&& other) noexcept : real_(other.real_), held_(other.held_) { other.held_ = false; }
  DatabaseRights& operator=(DatabaseRights&&) = delete;
  DatabaseRights(const DatabaseRights&) = delete;
  DatabaseRights& operator=(const DatabaseRights&) = delete;
  ~DatabaseRights();

 private:
  DatabaseRights(uid_t real, bool held) : real_(real), held_(held) {}
  uid_t real_;
  bool held_;
};

}  // namespace qpop::popauth
