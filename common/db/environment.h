// SPDX-License-Identifier: MIT
// One LMDB file: transactions as functions, the map grown when it is full, nothing usable after fork.
//
// Two files: PATH and its lock file PATH-lock. Neither is created by open(), so a role needs no right on the folder.
// A transaction lives for one call of read() or write(): no reader slot stays taken, no lock is held between calls.
// Records are copied or used inside the body; views end with it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace qpop::db {

/// Which file it is, to notice that another one has taken its name.
struct FileIdentity {
  std::uint64_t device = 0, inode = 0;
  bool operator==(const FileIdentity&) const = default;
};

/// Handed to the body of read(). Views are valid until the body returns (in write(): until the next change).
class Reader {
 public:
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  virtual ~Reader() = default;

  /// Empty when there is no such key.
  [[nodiscard]] base::Result<std::optional<std::string_view>> get(std::string_view key) const;
  /// Calls `visit` for each record in the order of the keys' bytes until it returns false.
  [[nodiscard]] base::Status walk(const std::function<bool(std::string_view key, std::string_view value)>& visit) const;
  [[nodiscard]] base::Result<std::uint64_t> count() const;

 protected:
  friend class Environment;
  using Check = std::function<base::Status(const std::string_view* key)>;
  Reader(void* transaction, unsigned table, Check check)
      : transaction_(transaction), table_(table), check_(std::move(check)) {}
  void* transaction_;  // MDB_txn*, without lmdb.h in our header
  unsigned table_;
  Check check_;  // proves the pages that a search for the key follows, or all of them; empty: proven already
};

/// Handed to the body of write().
class Writer final : public Reader {
 public:
  [[nodiscard]] base::Status put(std::string_view key, std::string_view value);
  /// The same for a key behind all others of the table: fills pages to the brim.
  [[nodiscard]] base::Status append(std::string_view key, std::string_view value);
  /// False when there was no such key.
  [[nodiscard]] base::Result<bool> remove(std::string_view key);

 private:
  friend class Environment;
  using Reader::Reader;
  [[nodiscard]] base::Status store(std::string_view key, std::string_view value, unsigned flags);
  bool map_full_ = false;
  bool changed_ = false;
};

class Environment {
 public:
  /// Opens an existing file and checks its meta pages. Pages are proven (file_check.h) before LMDB looks at them: those on
  /// the way to a key in Reader::get(), all of them in walk() and before a change. So a damaged file gives an error, never
  /// a crash, and a look-up costs the depth of the tree. Clears reader slots of dead processes.
  /// Errors  not_found; malformed: damaged; unsupported: network file system, other format; busy: no reader slot, or the
  ///         lock file still belongs to a replaced data file that another process has open; unsafe: symbolic link, not a
  ///         regular file; io.
  [[nodiscard]] static base::Result<Environment> open(const std::string& path, bool read_only = false);

  /// Creates PATH and PATH-lock, mode 0600; neither may exist. For a folder nobody else can write to.
  [[nodiscard]] static base::Result<Environment> create(const std::string& path);

  Environment(Environment&&) noexcept;
  Environment& operator=(Environment&&) noexcept;
  ~Environment();

  /// Runs `body` on a snapshot.
  /// Errors  those of `body`, which may come from the reader (malformed: a damaged page); changed: called in a process
  ///         forked after open(); malformed: the file shrank while open.
  [[nodiscard]] base::Status read(const std::function<base::Status(const Reader&)>& body);

  /// Runs `body` and commits when it succeeds. `body` runs again from the start when the map had to grow: it must
  /// depend on nothing but the reader it is given. Waits for another writer without limit; callers that cannot wait set
  /// an alarm.
  /// Errors  as read(); malformed: a damaged page anywhere; changed: another file has taken the name, with which the
  ///         change would be lost; no_space; limit: kMaxMapOctets reached; denied: opened read-only.
  [[nodiscard]] base::Status write(const std::function<base::Status(Writer&)>& body);

  /// Runs `body` under the write lock, which other writers wait for meanwhile. Looks at no page: for putting another file
  /// in the place of this one, which may be damaged.
  /// Errors  those of `body`; changed: another file has taken the name; denied: opened read-only.
  [[nodiscard]] base::Status locked(const std::function<base::Status()>& body);

  [[nodiscard]] FileIdentity identity() const;

 private:
  struct State;
  explicit Environment(std::unique_ptr<State> state);
  [[nodiscard]] base::Status usable() const;
  [[nodiscard]] base::Status open_table();
  std::unique_ptr<State> state_;
};

}  // namespace qpop::db
