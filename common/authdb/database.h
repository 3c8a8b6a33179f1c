// SPDX-License-Identifier: MIT
// The database of APOP and POP secrets, by default /etc/pop.auth.
//
// Three files: PATH and PATH-lock (mode 0600, owner `pop`, see file_rules.h) and PATH.key (key_file.h). No handle
// survives a fork. Everybody who stores and looks up accounts goes through this class, so that another store can take
// its place.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/authdb/account.h"
#include "common/authdb/guesses.h"
#include "common/authdb/workshop.h"
#include "common/db/environment.h"

namespace qpop::authdb {

inline constexpr const char* kDefaultPath = "/etc/pop.auth";

/// Keys in order, and values.
using RawRecords = std::vector<std::pair<std::string, std::string>>;

/// A new file with these records; its lock file is made as well.
/// Errors  io with EEXIST: one of them exists; no_space, io.
[[nodiscard]] base::Status write_database(const std::string& path, const RawRecords& records);

enum class Access : std::uint8_t { read_only, read_write };

/// A record, as encode_account() made it for that name, to be read where there is no account.
struct StandIn {
  std::string_view name, record;
};

struct Found {
  bool exists = false;
  Account account;  ///< that of the stand-in when `exists` is false
};

class Database {
 public:
  /// Checks type, owner, mode, file system and structure of the file, type, owner and mode of its lock file, and the
  /// meta record. Errors  not_found: no such file; run popauth -init. unsafe: owner, mode or type. malformed: damaged,
  /// or an empty file.
  ///         unsupported: network file system, newer format. busy: try again. denied, io. Texts are for the
  ///         administrator.
  [[nodiscard]] static base::Result<Database> open(const std::string& path, uid_t owner, Access access);

  /// As it was at open(), or at the last find().
  [[nodiscard]] const Meta& meta() const { return meta_; }
  [[nodiscard]] db::FileIdentity identity() const { return environment_.identity(); }

  /// Empty: no such account. `name` may be any octets.
  /// Errors  malformed: damaged record; those of db::Environment::read().
  [[nodiscard]] base::Result<std::optional<Account>> find(std::string_view name);

  /// As find(), for who must not be told by the time it takes: where there is no account, `stand_in` is decoded in its
  /// place, by the same way through the code. Errors  as find().
  [[nodiscard]] base::Result<Found> find_or(std::string_view name, const StandIn& stand_in);

  using Edit = std::function<base::Result<Account>(const base::Result<std::optional<Account>>& before)>;
  /// Reads, edits and writes one account in one transaction. `edit` sees a damaged record as an error and may replace
  /// it; it can be called more than once. Errors  denied: not an acceptable name; those of `edit` and
  /// db::Environment::write().
  [[nodiscard]] base::Status update(std::string_view name, const Edit& edit);

  /// After a clear login inside TLS that needs_upgrade() says should be stored anew: puts upgraded() in place of
  /// `seen`, unless the password was changed meanwhile. Needs Access::read_write, and waits as long as another writer
  /// takes: a role that serves others forks a child that opens the database by itself, with an alarm.
  /// Errors  changed: not the record seen; those of update().
  [[nodiscard]] base::Status upgrade(std::string_view name, const Account& seen, const base::Secret& password);

  /// False when there was no such account.
  [[nodiscard]] base::Result<bool> remove(std::string_view name);

  /// Accounts in the order of their names' octets, until `visit` returns false.
  [[nodiscard]] base::Status list(
      const std::function<bool(std::string_view name, const base::Result<Account>&)>& visit);
  [[nodiscard]] base::Result<std::uint64_t> count();

  /// One transaction for many accounts, all or none of them. `edits` may be called again from its start.
  /// Errors  as update().
  using Batch =
      std::function<base::Status(const std::function<base::Status(std::string_view name, const Edit& edit)>&)>;
  [[nodiscard]] base::Status update_all(const Batch& edits, const std::string& dummy_crypt);

  /// Counts a try of an old password by `uid`; the seconds to wait when there were too many (guesses.h).
  [[nodiscard]] base::Result<std::int64_t> charge_guess(uid_t uid, std::int64_t now);
  /// Forgets the tries of `uid` after a right password.
  [[nodiscard]] base::Status forgive_guess(uid_t uid);

  /// All records at one moment as octets, meta record and guesses included, while others go on reading and writing.
  [[nodiscard]] base::Result<RawRecords> raw_records();

 private:
  friend base::Result<struct Compaction> compact(const Place& place);
  Database(db::Environment environment, Meta meta, std::string path)
      : environment_(std::move(environment)), meta_(std::move(meta)), path_(std::move(path)) {}

  db::Environment environment_;
  Meta meta_;
  std::string path_;
};

/// Opened without a folder check, without owner check: true when `path` is an existing file of zero octets.
[[nodiscard]] bool is_empty_file(const std::string& path);

struct NewDatabase {
  std::string path = kDefaultPath;
  uid_t owner = 0;  ///< of the database and its lock file; the key file belongs to the caller
  gid_t group = 0;
  std::uint32_t iterations = kDefaultIterations;
};

/// Creates database, lock file and key file in place of whatever has those names.
///
/// All three are built in a new folder beside PATH and renamed one after another: lock file, key file, database. A
/// process with the old database open keeps the old files. Interrupted in between, the old database has a key that does
/// not fit: APOP fails with a clear text until initialised again, everything else works. Errors  unsafe: others can
/// write to the folder; denied, no_space, io.
[[nodiscard]] base::Status initialise(const NewDatabase& wanted);

/// Sizes of the file in octets.
struct Compaction {
  std::uint64_t before = 0, after = 0;
};

/// Rewrites the database without its free pages, in which old values stay. Other writers wait meanwhile; readers go on
/// with the old file until they look at its name. Needs the right to create files in the folder.
/// Errors  as initialise() and Database::open().
[[nodiscard]] base::Result<Compaction> compact(const Place& place);

struct Restored {
  std::uint64_t accounts = 0;
  bool key_fits = false;  ///< the key file beside the database opens the APOP secrets of the backup
};

/// Puts the backup that `from` reads in the place of the database, or in an empty place, after its structure and every
/// record of it were found in order; nothing is changed otherwise.
/// Errors  malformed: the backup is damaged or none; as initialise().
[[nodiscard]] base::Result<Restored> restore(const Place& place, int from);

}  // namespace qpop::authdb
