// SPDX-License-Identifier: MIT
// Making a new database with its lock file and key file, and the ways of putting one in the place of another.
//
// 1. A folder that only we can enter is made beside the database. 2. Database, lock file and key file are built and
// synced in it. 3. Owner set, each is renamed to its place: lock file, key file, database; then the folder of the
// database is synced. A crash in 1 or 2 leaves a folder ".pop.auth-XXXXXX" that can be removed; in 3, see database.h.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>

#include "common/authdb/database.h"
#include "common/authdb/key_file.h"
#include "common/authdb/record.h"
#include "common/authdb/user_name.h"
#include "common/base/unique_fd.h"

namespace qpop::authdb {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;

namespace {

Status build(const Workshop& workshop, std::uint32_t iterations) {
  auto keys = digest::generate_key_pair();
  if (!keys) return keys.error();
  Meta meta{.public_key = keys->public_key, .iterations = iterations, .created = ::time(nullptr)};
  digest::random_bytes(meta.server_key);
  {
    auto environment = db::Environment::create(workshop.database());
    if (!environment) return environment.error();
    auto ok = environment->write([&](db::Writer& writer) { return writer.put(kMetaKey, encode_meta(meta)); });
    if (!ok) return ok;
  }
  return create_key_file(workshop.key(), keys->private_key);
}

std::uint64_t octets_of(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

/// The meta record of a new file without a dummy crypt(3) string when no account has one any more.
Status forget_dummy_crypt(db::Environment& environment) {
  return environment.write([&](db::Writer& writer) -> Status {
    bool used = false;
    auto walked = writer.walk([&](std::string_view name, std::string_view value) {
      const auto account =
          is_acceptable_user_name(name) ? decode_account(name, value) : Error{ErrorKind::not_found, ""};
      used = account && !account->crypt.empty();
      return !used;
    });
    if (!walked || used) return walked;
    auto value = writer.get(kMetaKey);
    if (!value) return value.error();
    auto meta = *value ? decode_meta(**value) : Error{ErrorKind::malformed, "there is no meta record"};
    if (!meta) return meta.error();
    if (meta->dummy_crypt.empty()) return {};
    meta->dummy_crypt.clear();
    return writer.put(kMetaKey, encode_meta(*meta));
  });
}

/// Every record of a file that comes from elsewhere, and the meta record.
Result<Meta> check_records(const db::Reader& reader, std::uint64_t& accounts) {
  Result<Meta> meta = Error{ErrorKind::malformed, "there is no meta record; popauth did not make this file"};
  Status fault;
  accounts = 0;
  auto walked = reader.walk([&](std::string_view key, std::string_view value) {
    if (key == kMetaKey) meta = decode_meta(value);
    if (!is_acceptable_user_name(key)) return true;
    ++accounts;
    if (auto account = decode_account(key, value); !account) fault = account.error().at("account", key);
    return fault.has_value();
  });
  if (!walked) return walked.error();
  if (!fault) return fault.error();
  return meta;
}

Status copy_octets(int from, const std::string& to) {
  UniqueFd out{::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!out.valid()) return Error::from_errno(errno, "create").at(to);
  std::array<char, 65536> buffer{};
  for (std::uint64_t at = 0;;) {
    const ssize_t got = ::pread(from, buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "read");
    if (got == 0) return {};
    for (ssize_t done = 0; done < got;) {
      const ssize_t put = ::write(out.get(), buffer.data() + done, static_cast<std::size_t>(got - done));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return Error::from_errno(errno, "write");
      done += put;
    }
    at += static_cast<std::uint64_t>(got);
  }
}

/// True when the key file beside the database opens what was sealed for `meta`.
bool key_fits(const std::string& path, const Meta& meta) {
  auto fd = open_key_file(key_path_of(path));
  if (!fd) return false;
  auto key = read_key(fd->get());
  if (!key) return false;
  const auto mine = digest::public_key_of(*key);
  return mine && *mine == meta.public_key;
}

}  // namespace

bool is_empty_file(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0;
}

Status initialise(const NewDatabase& wanted) {
  const auto what = [&](const Error& error) { return error.at("create POP authentication DB", wanted.path); };
  auto workshop = Workshop::make(wanted.path);
  if (!workshop) return what(workshop.error());
  if (auto ok = build(*workshop, wanted.iterations); !ok) return what(ok.error());
  const Place place{.path = wanted.path, .owner = wanted.owner, .group = wanted.group};
  if (auto ok = install(*workshop, place, WithKey::yes); !ok) return what(ok.error());
  return {};
}

Result<Compaction> compact(const Place& place) {
  const auto what = [&](const Error& error) { return error.at("compact POP authentication DB", place.path); };
  auto workshop = Workshop::make(place.path);
  if (!workshop) return what(workshop.error());
  auto old = Database::open(place.path, place.owner, Access::read_write);
  if (!old) return old.error();
  Compaction sizes{.before = octets_of(place.path)};
  auto ok = old->environment_.write([&](db::Writer& all) -> Status {
    {
      auto fresh = db::Environment::create(workshop->database());
      if (!fresh) return fresh.error();
      if (auto copied = copy_records(all, *fresh); !copied) return copied;
      if (auto done = forget_dummy_crypt(*fresh); !done) return done;
    }
    sizes.after = octets_of(workshop->database());
    return install(*workshop, place, WithKey::no, true);
  });
  if (!ok) return what(ok.error());
  return sizes;
}

Result<Restored> restore(const Place& place, int from) {
  const auto what = [&](const Error& error) { return error.at("restore POP authentication DB", place.path); };
  auto workshop = Workshop::make(place.path);
  if (!workshop) return what(workshop.error());
  if (auto ok = copy_octets(from, workshop->source()); !ok) return what(ok.error());
  // Closed again before LMDB has it: a close drops the locks of the whole process.
  UniqueFd{::open((workshop->source() + "-lock").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)}.reset();
  Restored result;
  {
    auto source = db::Environment::open(workshop->source());
    if (!source) return source.error().at("backup");
    auto fresh = db::Environment::create(workshop->database());
    if (!fresh) return what(fresh.error());
    auto ok = source->read([&](const db::Reader& reader) -> Status {
      auto meta = check_records(reader, result.accounts);
      if (!meta) return meta.error();
      result.key_fits = key_fits(place.path, *meta);
      return copy_records(reader, *fresh);
    });
    if (!ok) return ok.error().at("backup");
  }
  if (auto ok = install(*workshop, place, WithKey::no); !ok) return what(ok.error());
  return result;
}

}  // namespace qpop::authdb
