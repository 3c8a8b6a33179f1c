// SPDX-License-Identifier: MIT
// Use of the database. Runs as: the owner of the database for the time of a call.
#include "popauth/database_access.h"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>

#include <cerrno>
#include <ctime>

#include "common/authdb/record.h"
#include "common/priv/child_call.h"
#include "popauth/messages.h"
#include "popauth/owner_call.h"
#include "popauth/safe_start.h"
#include "popauth/trace.h"

namespace qpop::popauth {

using authdb::Access;
using authdb::Account;
using authdb::Database;
using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;

namespace {

/// Answers of the child: meta record, then the account, none, or the fault of the account.
enum class Found : char { nothing = '0', account = '1', damaged = '2' };

std::string pack(const authdb::Meta& meta, std::string_view user, const Result<std::optional<Account>>& account) {
  const auto head = authdb::encode_meta(meta);
  auto text = fmt::format("{:08x}{}", head.size(), head);
  if (!account) return text + static_cast<char>(Found::damaged) + account.error().message();
  if (!*account) return text + static_cast<char>(Found::nothing);
  return text + static_cast<char>(Found::account) + authdb::encode_account(user, **account);
}

Result<Look> unpack(std::string_view text, std::string_view user) {
  const Error torn{ErrorKind::malformed, "the answer about the database is torn"};
  constexpr std::size_t kLength = 8;
  const std::size_t size = std::strtoul(std::string{text.substr(0, kLength)}.c_str(), nullptr, 16);
  if (text.size() < kLength + size + 1) return torn;
  auto meta = authdb::decode_meta(text.substr(kLength, size));
  if (!meta) return meta.error();
  const auto rest = text.substr(kLength + size + 1);
  switch (static_cast<Found>(text[kLength + size])) {
    case Found::nothing:
      return Look{*meta, std::optional<Account>{}};
    case Found::damaged:
      return Look{*meta, Error{ErrorKind::malformed, std::string{rest}}};
    case Found::account:
      break;
  }
  auto account = authdb::decode_account(user, rest);
  if (!account) return account.error();
  return Look{*meta, std::optional<Account>{std::move(*account)}};
}

}  // namespace

Status require_reach(const Identity& identity, const std::string& path) {
  if (!identity.is_root()) return {};
  auto owner = identity.owner();
  if (!owner) return owner.error();
  // With the owner's groups too, as the server has them.
  constexpr std::size_t kLongestPath = 4096;
  auto closed = priv::call_in_child(kLongestPath, [&](int /*out*/) -> Result<std::string> {
    if (auto become = identity.become_owner(); !become) return become.error();
    struct stat status {};
    for (auto end = path.starts_with('/') ? std::size_t{1} : 0; end != std::string::npos; end = path.find('/', end + 1)) {
      const auto folder = end == 0 ? std::string{"."} : path.substr(0, end);
      if (::stat((folder + "/.").c_str(), &status) != 0 && errno == EACCES) return folder;
    }
    return std::string{};
  });
  if (!closed) return closed.error();
  if (closed->empty()) return {};
  const passwd* entry = ::getpwuid(*owner);
  return Error{ErrorKind::denied, fmt::format("it belongs to {} and is used with the rights of that user, who may not search the folder {}; put it elsewhere, as into /etc, "
                                              "or let him: chmod o+x {}",
                                              entry != nullptr ? fmt::format("user \"{}\"", entry->pw_name) : fmt::format("uid {}", *owner), *closed, *closed)}
      .at("POP authentication DB", path);
}

Result<Database> open_for_good(const Identity& identity, const std::string& path) {
  auto owner = identity.owner();
  if (!owner) return owner.error();
  if (auto ok = identity.become_owner(); !ok) return ok.error();
  trace(fmt::format("uid {} for good; opening {} for writing", *owner, path));
  return Database::open(path, *owner, Access::read_write);
}

Result<Look> look_up(const Identity& identity, const std::string& path, const std::string& user) {
  auto owner = identity.owner();
  if (!owner) return owner.error();
  trace(fmt::format("looking up an entry in {}", path));
  auto answer = call_as_owner(identity, [&]() -> Result<std::string> {
    auto database = Database::open(path, *owner, Access::read_only);
    if (!database) return database.error();
    const auto account = database->find(user);
    return pack(database->meta(), user, account);
  });
  if (!answer) return answer.error();
  return unpack(*answer, user);
}

Status charge_guess(const Identity& identity, const std::string& path) {
  if (!identity.is_lent()) return {};
  auto owner = identity.owner();
  if (!owner) return owner.error();
  auto answer = call_as_owner(identity, [&]() -> Result<std::string> {
    auto database = Database::open(path, *owner, Access::read_write);
    if (!database) return database.error();
    auto wait = database->charge_guess(identity.real_uid(), ::time(nullptr));
    if (!wait) return wait.error();
    if (*wait == 0) return std::string{};
    return Error{ErrorKind::busy, fmt::format("too many wrong passwords; try again in {} s", *wait)};
  });
  return answer ? Status{} : answer.error();
}

void forgive_guess(const Identity& identity, const std::string& path) {
  if (!identity.is_lent()) return;
  auto answer = call_as_owner(identity, [&]() -> Result<std::string> {
    auto database = open_for_good(identity, path);
    if (!database) return database.error();
    if (auto ok = database->forgive_guess(identity.real_uid()); !ok) return ok.error();
    return std::string{};
  });
  if (!answer) trace(answer.error().message());
}

Result<Records> all_accounts(const Identity& identity, const std::string& path) {
  auto owner = identity.owner();
  if (!owner) return owner.error();
  const TimeBound bound;
  auto rights = DatabaseRights::take(identity);
  if (!rights) return rights.error();
  auto database = Database::open(path, *owner, Access::read_only);
  if (!database) return database.error();
  Records records;
  auto ok = database->list([&](std::string_view name, const Result<Account>& account) {
    records.emplace_back(name, account);
    return true;
  });
  if (!ok) return ok.error();
  return records;
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
  auto stored = database->update(user, [&](const Result<std::optional<Account>>& before) -> Result<Account> {
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
    if (!secret.keep_apop) account.sealed_apop = secret.sealed_apop;
    account.changed = now;
    return account;
  });
  if (stored && proven && identity.is_lent()) (void)database->forgive_guess(identity.real_uid()).has_value();
  return stored;
}

Result<bool> remove(const Identity& identity, const std::string& path, const std::string& user) {
  const TimeBound bound;
  auto database = open_for_good(identity, path);
  if (!database) return database.error();
  return database->remove(user);
}

Status set_disabled(const Identity& identity, const std::string& path, const std::string& user, bool disabled) {
  const TimeBound bound;
  auto database = open_for_good(identity, path);
  if (!database) return database.error();
  const std::int64_t now = ::time(nullptr);
  return database->update(user, [&](const Result<std::optional<Account>>& before) -> Result<Account> {
    if (!before) return before.error();
    if (!*before) return Error{ErrorKind::not_found, no_entry(user)};
    Account account = **before;
    if (account.disabled != disabled) account.changed = now;
    account.disabled = disabled;
    return account;
  });
}

}  // namespace qpop::popauth
