// SPDX-License-Identifier: MIT
// The moments in which popauth uses the owner's rights: one look before the prompts, one write after them.
#pragma once

#include <optional>
#include <string>

#include "common/authdb/database.h"
#include "popauth/identity.h"

namespace qpop::popauth {

struct Look {
  authdb::Meta meta;
  base::Result<std::optional<authdb::Account>> account;  ///< malformed: damaged record
};

/// What the database says about one account. The database is closed again on return.
[[nodiscard]] base::Result<Look> look_up(const Identity& identity, const std::string& path, const std::string& user);

/// A new password, ready to be stored; made with the caller's rights, from values that the look gave.
struct NewSecret {
  std::optional<authdb::ScramVerifier> scram;  ///< empty: keep it
  std::string sealed_apop;                     ///< empty: no APOP
  authdb::Meta sealed_with;
};

/// Takes the owner's uid for good and stores. When `proven` is given, the old password was checked against it, and the
/// record must still have it. Errors  changed: record or database are not those looked at; not_found: `scram` empty and
/// no account; those of the database.
[[nodiscard]] base::Status store(const Identity& identity, const std::string& path, const std::string& user,
                                 const NewSecret& secret, const std::optional<authdb::Account>& proven);

/// Takes the owner's uid for good and removes; false when there was no such account.
[[nodiscard]] base::Result<bool> remove(const Identity& identity, const std::string& path, const std::string& user);

}  // namespace qpop::popauth
