// SPDX-License-Identifier: MIT
// A folder in which a new database is built, and the step that puts it in the place of the old one.
//
// While the names change, the write locks of the old and of the new database are held: nobody is in the middle of a change
// that would be lost, and who waits for either lock then sees that the file was replaced (db::Environment::write()).
#pragma once

#include <string>
#include <utility>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/db/environment.h"

namespace qpop::authdb {

/// Where a database lies and whose it is.
struct Place {
  std::string path;
  uid_t owner = 0;  ///< of the database and its lock file
  gid_t group = 0;
};

/// Beside the database, for us alone; removed with what is left in it. Locked (flock) while it lives, so that those that
/// killed processes left are known: make() removes them.
class Workshop {
 public:
  /// Errors  unsafe: others can write to the folder; denied, no_space, io.
  [[nodiscard]] static base::Result<Workshop> make(const std::string& database_path);
  Workshop(Workshop&& other) noexcept : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}
  Workshop& operator=(Workshop&&) = delete;
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;
  ~Workshop();
  [[nodiscard]] std::string database() const { return path_ + "/db"; }
  [[nodiscard]] std::string lock() const { return path_ + "/db-lock"; }
  [[nodiscard]] std::string key() const { return path_ + "/db.key"; }
  /// Room for a second database while one is made out of another.
  [[nodiscard]] std::string source() const { return path_ + "/source"; }

 private:
  Workshop(std::string path, base::UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  base::UniqueFd lock_;
};

enum class WithKey : std::uint8_t { no, yes };

/// Gives lock file and database to their owner and renames them to their place: lock file, then (with `with_key`) key file,
/// then database; then syncs the folder. `old_locked`: the caller is inside a write transaction of the old database.
/// Errors  denied, no_space, io.
[[nodiscard]] base::Status install(const Workshop& workshop, const Place& place, WithKey with_key, bool old_locked = false);

/// Makes a new name in the folder of `path` survive a power failure. Errors  io, denied.
[[nodiscard]] base::Status sync_folder_of(const std::string& path);

/// Writes all records that `from` sees into the new file `to`, in one transaction.
[[nodiscard]] base::Status copy_records(const db::Reader& from, db::Environment& to);

}  // namespace qpop::authdb
