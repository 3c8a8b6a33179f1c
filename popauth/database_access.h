// SPDX-License-Identifier: MIT
// The moments in which popauth uses the owner's rights: one look before the prompts, one write after them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/authdb/database.h"
#include "popauth/identity.h"

namespace qpop::popauth {

struct Look {
  authdb::Meta meta;
  base::Result<std::optional<authdb::Account>> account;  ///< malformed: damaged record
};

/// To be asked first: may the owner, who is to use it, come to the database at all? Looked at for root only, who comes everywhere.
/// Errors  denied: the folder that is closed to the owner, and what to do; those of Identity::owner(); io.
[[nodiscard]] base::Status require_reach(const Identity& identity, const std::string& path);

/// What the database says about one account. The database is closed again on return.
[[nodiscard]] base::Result<Look> look_up(const Identity& identity, const std::string& path, const std::string& user);

/// Counts a try at an old password before it is looked at. Nothing for a caller who is not lent the rights.
/// Errors  busy: too many tries, text with the seconds to wait; those of the database.
[[nodiscard]] base::Status charge_guess(const Identity& identity, const std::string& path);
/// Forgets the tries after a right password.
void forgive_guess(const Identity& identity, const std::string& path);

/// A new password, ready to be stored; made with the caller's rights, from values that the look gave.
struct NewSecret {
  std::optional<authdb::ScramVerifier> scram;  ///< empty: keep it
  std::string sealed_apop;                     ///< empty: no APOP
  bool keep_apop = false;                      ///< leave the APOP secret as it is
  authdb::Meta sealed_with;
};

/// Takes the owner's uid for good and stores. When `proven` is given, the old password was checked against it, and the
/// record must still have it; the tries of the caller are forgotten then. Errors  changed: record or database are not
/// those looked at; not_found: `scram` empty and no account; those of the database.
[[nodiscard]] base::Status store(const Identity& identity, const std::string& path, const std::string& user,
                                 const NewSecret& secret, const std::optional<authdb::Account>& proven);

/// Takes the owner's uid for good and removes; false when there was no such account.
[[nodiscard]] base::Result<bool> remove(const Identity& identity, const std::string& path, const std::string& user);

/// Takes the owner's uid for good and disables or enables.
/// Errors  not_found: no such account; those of the database.
[[nodiscard]] base::Status set_disabled(const Identity& identity, const std::string& path, const std::string& user,
                                        bool disabled);

/// Takes the owner's uid for good and opens for writing, for an import.
[[nodiscard]] base::Result<authdb::Database> open_for_good(const Identity& identity, const std::string& path);

using Records = std::vector<std::pair<std::string, base::Result<authdb::Account>>>;
/// All accounts at one moment, in the order of their names.
[[nodiscard]] base::Result<Records> all_accounts(const Identity& identity, const std::string& path);

}  // namespace qpop::popauth
