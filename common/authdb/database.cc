// SPDX-License-Identifier: MIT
// The database of APOP and POP secrets over db::Environment.
#include "common/authdb/database.h"

#include <fmt/format.h>

#include "common/authdb/file_rules.h"
#include "common/authdb/password.h"
#include "common/authdb/record.h"
#include "common/authdb/user_name.h"

namespace qpop::authdb {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kWhat = "POP authentication DB";

Status check_files(const std::string& path, uid_t owner) {
  if (auto ok = check_file(path, {.what = kWhat, .owner = owner}); !ok) {
    if (ok.error().kind() != ErrorKind::not_found) return ok;
    return Error{ErrorKind::not_found, fmt::format("{} {} does not exist; create it: popauth -init", kWhat, path)};
  }
  if (is_empty_file(path)) {
    return Error{ErrorKind::malformed, fmt::format("{} {} is empty; initialise it: popauth -init", kWhat, path)};
  }
  const auto lock = path + "-lock";
  if (auto ok = check_file(lock, {.what = "POP authentication lock file", .owner = owner}); !ok) {
    if (ok.error().kind() != ErrorKind::not_found) return ok;
    // Not made on the fly: in /etc the uid `pop` has no right to, and a lock file that others do not share protects
    // nothing.
    return Error{ErrorKind::unsafe, fmt::format("{} {} has no lock file; create it: install -m 600 -o {} /dev/null {}",
                                                kWhat, path, owner, lock)};
  }
  return {};
}

Result<Meta> load_meta(db::Environment& environment) {
  Result<Meta> meta = Error{ErrorKind::malformed, "there is no meta record; popauth did not make this file"};
  auto ok = environment.read([&](const db::Reader& reader) -> Status {
    auto value = reader.get(kMetaKey);
    if (!value) return value.error();
    if (*value) meta = decode_meta(**value);
    return {};
  });
  if (!ok) return ok.error();
  return meta;
}

Result<std::optional<Account>> decode(std::string_view name, const std::optional<std::string_view>& value) {
  if (!value) return std::optional<Account>{};
  auto account = decode_account(name, *value);
  if (!account) return account.error().at("account", name);
  return std::optional<Account>{std::move(*account)};
}

/// One way for both cases: reading a record takes a microsecond, which thousands of tries would show.
Result<Found> read_found(std::string_view name, const std::optional<std::string_view>& value, const StandIn& stand_in) {
  if (!value && stand_in.record.empty()) return Found{};
  // In both cases, so that neither finds its octets warmer in the cache than the other: that alone is 40 ns.
  if (!stand_in.record.empty()) (void)decode_account(stand_in.name, stand_in.record);
  auto account = decode_account(value ? name : stand_in.name, value ? *value : stand_in.record);
  if (!account) return account.error().at("account", name);
  return Found{value.has_value(), std::move(*account)};
}

Status edit_in(db::Writer& writer, std::string_view name, const Database::Edit& edit) {
  if (!is_acceptable_user_name(name)) return Error{ErrorKind::denied, "not an acceptable user name"};
  auto value = writer.get(name);
  if (!value) return value.error();
  auto account = edit(decode(name, *value));
  if (!account) return account.error();
  return writer.put(name, encode_account(name, *account));
}

}  // namespace

Result<Database> Database::open(const std::string& path, uid_t owner, Access access) {
  if (is_gdbm_file(path)) {
    return Error{ErrorKind::unsupported, fmt::format("{} {} is a gdbm file of Qpopper 4; mv {} {}.old; popauth -init; "
                                                     "popauth -import {}.old",
                                                     kWhat, path, path, path, path)};
  }
  if (auto ok = check_files(path, owner); !ok) return ok.error();
  auto environment = db::Environment::open(path, access == Access::read_only);
  if (!environment) return environment.error().at(kWhat, path);
  auto meta = load_meta(*environment);
  if (!meta) return meta.error().at(kWhat, path);
  return Database{std::move(*environment), *meta, path};
}

Result<std::optional<Account>> Database::find(std::string_view name) {
  auto found = find_or(name, {});
  if (!found) return found.error();
  return found->exists ? std::optional{std::move(found->account)} : std::nullopt;
}

Result<Found> Database::find_or(std::string_view name, const StandIn& stand_in) {
  if (!is_acceptable_user_name(name)) return read_found(name, {}, stand_in);
  Result<Found> found{Found{}};
  auto ok = environment_.read([&](const db::Reader& reader) -> Status {
    if (auto fresh = reader.get(kMetaKey); fresh && *fresh) {
      if (auto meta = decode_meta(**fresh)) meta_ = std::move(*meta);
    }
    auto value = reader.get(name);
    if (!value) return value.error();
    found = read_found(name, *value, stand_in);
    return {};
  });
  if (!ok) return ok.error().at(kWhat, path_);
  if (!found) return found.error().at(kWhat, path_);
  return found;
}

Status Database::update(std::string_view name, const Edit& edit) {
  auto ok = environment_.write([&](db::Writer& writer) { return edit_in(writer, name, edit); });
  if (!ok) return ok.error().at(kWhat, path_);
  return {};
}

Status Database::upgrade(std::string_view name, const Account& seen, const base::Secret& password) {
  const Account after = upgraded(meta_, seen, password);
  return update(name, [&](const Result<std::optional<Account>>& before) -> Result<Account> {
    if (!before) return before.error();
    const bool same = *before && (*before)->scram == seen.scram && (*before)->crypt == seen.crypt;
    if (!same) return Error{ErrorKind::changed, "the account was changed meanwhile"};
    Account account = **before;
    account.scram = after.scram;
    account.crypt.clear();
    return account;
  });
}

Result<bool> Database::remove(std::string_view name) {
  if (!is_acceptable_user_name(name)) return false;
  bool existed = false;
  auto ok = environment_.write([&](db::Writer& writer) -> Status {
    auto removed = writer.remove(name);
    if (!removed) return removed.error();
    existed = *removed;
    return {};
  });
  if (!ok) return ok.error().at(kWhat, path_);
  return existed;
}

Status Database::list(const std::function<bool(std::string_view, const Result<Account>&)>& visit) {
  auto ok = environment_.read([&](const db::Reader& reader) {
    return reader.walk([&](std::string_view name, std::string_view value) {
      return !is_acceptable_user_name(name) || visit(name, decode_account(name, value));
    });
  });
  if (!ok) return ok.error().at(kWhat, path_);
  return {};
}

Result<std::uint64_t> Database::count() {
  std::uint64_t records = 0;
  auto ok = environment_.read([&](const db::Reader& reader) -> Status {
    auto all = reader.count();
    if (!all) return all.error();
    records = *all;
    for (const auto key : {kMetaKey, kGuessesKey}) {
      auto value = reader.get(key);
      if (!value) return value.error();
      if (*value && records > 0) --records;
    }
    return {};
  });
  if (!ok) return ok.error().at(kWhat, path_);
  return records;
}

Status Database::update_all(const Batch& edits, const std::string& dummy_crypt) {
  auto ok = environment_.write([&](db::Writer& writer) -> Status {
    if (!dummy_crypt.empty()) {
      Meta meta = meta_;
      meta.dummy_crypt = dummy_crypt;
      if (auto done = writer.put(kMetaKey, encode_meta(meta)); !done) return done;
    }
    return edits([&](std::string_view name, const Edit& edit) { return edit_in(writer, name, edit); });
  });
  if (!ok) return ok.error().at(kWhat, path_);
  return {};
}

Result<std::int64_t> Database::charge_guess(uid_t uid, std::int64_t now) {
  std::int64_t wait = 0;
  auto ok = environment_.write([&](db::Writer& writer) -> Status {
    auto value = writer.get(kGuessesKey);
    if (!value) return value.error();
    auto guesses = *value ? decode_guesses(**value) : Guesses{};
    wait = count_guess(guesses, uid, now);
    return writer.put(kGuessesKey, encode_guesses(guesses));
  });
  if (!ok) return ok.error().at(kWhat, path_);
  return wait;
}

Status Database::forgive_guess(uid_t uid) {
  auto ok = environment_.write([&](db::Writer& writer) -> Status {
    auto value = writer.get(kGuessesKey);
    if (!value) return value.error();
    auto guesses = *value ? decode_guesses(**value) : Guesses{};
    return forgive_guesses(guesses, uid) ? writer.put(kGuessesKey, encode_guesses(guesses)) : Status{};
  });
  if (!ok) return ok.error().at(kWhat, path_);
  return {};
}

Result<RawRecords> Database::raw_records() {
  RawRecords records;
  auto ok = environment_.read([&](const db::Reader& reader) {
    return reader.walk([&](std::string_view key, std::string_view value) {
      records.emplace_back(key, value);
      return true;
    });
  });
  if (!ok) return ok.error().at(kWhat, path_);
  return records;
}

Status write_database(const std::string& path, const RawRecords& records) {
  auto environment = db::Environment::create(path);
  if (!environment) return environment.error();
  return environment->write([&](db::Writer& writer) -> Status {
    for (const auto& [key, value] : records) {
      if (auto ok = writer.append(key, value); !ok) return ok;
    }
    return {};
  });
}

}  // namespace qpop::authdb
