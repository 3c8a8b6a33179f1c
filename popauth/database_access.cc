// SPDX-License-Identifier: MIT
// Use of the database. Runs as: the owner of the database for the time of a call.
#include "popauth/database_access.h"

#include <ctime>

#include "popauth/messages.h"
#include "popauth/safe_start.h"

namespace qpop::popauth {

using authdb::Access;
using authdb::Account;
using authdb::Database;
using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;

namespace {

Result<Database> open_for_good(const Identity& identity, const std::string& path) {
  auto owner = identity.owner();
  if (!owner) return owner.error();
  if (auto ok = identity.become_owner(); !ok) return ok.error();
  return Database::open(path, *owner, Access::read_write);
}

}  // namespace

Result<Look> look_up(const Identity& identity, const std::string& path, const std::string& user) {
  const TimeBound bound;
  auto owner = identity.owner();
  if (!owner) return owner.error();
  auto rights = DatabaseRights::take(identity);
  if (!rights) return rights.error();
  auto database = Database::open(path, *owner, Access::read_only);
  if (!database) return database.error();
  return Look{database->meta(), database->find(user)};
}

Status store(const Identity& identity, const std::string& path, const std::string& user, const NewSecret& secret,
             const std::optional<authdb::Account>& proven) {
  const TimeBound bound;
  auto database = open_for_good(identity, path);
  if (!database) return database.error();
  if (database->meta().public_key != secret.sealed_with.public_key) {
    return Error{ErrorKind::changed, "the database was initialised meanwhile; nothing changed"};
  }
  const std::int64_t now = ::time(nullptr);
  return database->update(user, [&](const Result<std::optional<Account>>& before) -> Result<Account> {
    const bool exists = before && *before;
    if (proven && (!exists || (*before)->scram != proven->scram || (*before)->crypt != proven->crypt)) {
      return Error{ErrorKind::changed, "the entry was changed meanwhile; nothing changed"};
    }
    if (!secret.scram && !exists) return Error{ErrorKind::not_found, no_entry(user)};
    Account account;
    account.created = now;
    if (exists) account = **before;
    if (secret.scram) {
      account.scram = secret.scram;
      account.crypt.clear();
    }
    account.sealed_apop = secret.sealed_apop;
    account.changed = now;
    return account;
  });
}

Result<bool> remove(const Identity& identity, const std::string& path, const std::string& user) {
  const TimeBound bound;
  auto database = open_for_good(identity, path);
  if (!database) return database.error();
  return database->remove(user);
}

}  // namespace qpop::popauth
