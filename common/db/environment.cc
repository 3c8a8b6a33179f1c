// SPDX-License-Identifier: MIT
// One LMDB file behind value errors.
#include "common/db/environment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/base/unique_fd.h"
#include "common/db/file_check.h"

namespace qpop::db {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;

namespace {

constexpr std::size_t kFirstMapOctets = 1U << 20U;
constexpr int kLooks = 4;
constexpr std::uint64_t kNone = ~0ULL;
constexpr unsigned kReaders = 126;  // LMDB's default; each role and each running popauth takes one for an instant

/// LMDB's codes in words for the administrator; positive codes are errno values.
Error db_error(int code, std::string_view call) {
  switch (code) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
      return Error{ErrorKind::malformed, "the file is damaged; restore it from a backup"};
    case MDB_VERSION_MISMATCH:
      return Error{ErrorKind::unsupported, "the file or its lock file was made by another version of LMDB"};
    case MDB_MAP_FULL:
      return Error{ErrorKind::limit, fmt::format("the file would grow beyond {} MiB", kMaxMapOctets >> 20U)};
    case MDB_READERS_FULL:
      return Error{ErrorKind::busy, "too many processes read the file at once; try again"};
    case MDB_MAP_RESIZED:
      return Error{ErrorKind::busy, "another process keeps enlarging the file; try again"};
    case MDB_BAD_VALSIZE:
      return Error{ErrorKind::limit, "key or value has an impossible size"};
    case MDB_PANIC:
      return Error{ErrorKind::io, "an earlier write failed; restart the program"};
    case EACCES:
    case EROFS:
      return Error{ErrorKind::denied, fmt::format("{}: no write permission", call)};
    default:
      break;
  }
  if (code > 0) return Error::from_errno(code, call);
  return Error{ErrorKind::io, fmt::format("{}: {}", call, mdb_strerror(code))};
}

/// LMDB calls a write that was cut short by a full disk EIO.
Error write_error(int code, MDB_env* env) {
  mdb_filehandle_t fd = -1;
  struct statvfs room {};
  const bool full = code == EIO && mdb_env_get_fd(env, &fd) == 0 && ::fstatvfs(fd, &room) == 0 && room.f_bavail == 0;
  return db_error(full ? ENOSPC : code, "write");
}

MDB_val to_val(std::string_view bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};
}  // NOLINT: LMDB's type
std::string_view to_view(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

struct CursorClose {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};

/// Aborts unless committed.
class Transaction {
 public:
  Transaction() = default;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() { abort(); }

  int begin(MDB_env* env, unsigned flags) {
    int code = mdb_txn_begin(env, nullptr, flags, &handle_);
    // Another process made the file larger than our map: adopt its size.
    for (int i = 0; code == MDB_MAP_RESIZED && i < 3; ++i) {
      if (const int resized = mdb_env_set_mapsize(env, 0); resized != 0) return resized;
      code = mdb_txn_begin(env, nullptr, flags, &handle_);
    }
    if (code != 0) handle_ = nullptr;
    return code;
  }
  int commit() { return mdb_txn_commit(std::exchange(handle_, nullptr)); }
  void abort() {
    if (handle_ != nullptr) mdb_txn_abort(std::exchange(handle_, nullptr));
  }
  MDB_txn* get() const { return handle_; }

 private:
  MDB_txn* handle_ = nullptr;
};

MDB_txn* txn_of(void* handle) {
  return static_cast<MDB_txn*>(handle);
}

Result<UniqueFd> open_checked(const std::string& path) {
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (!fd.valid()) return Error::from_errno(errno, "open");
  struct stat status {};
  struct statfs system {};
  if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, "fstat");
  if (!S_ISREG(status.st_mode)) return Error{ErrorKind::unsafe, "not a regular file"};
  if (::fstatfs(fd.get(), &system) != 0) return Error::from_errno(errno, "fstatfs");
  if (is_network_file_system(static_cast<std::uint32_t>(system.f_type))) {
    return Error{ErrorKind::unsupported,
                 "lies on a network file system, where its locks do not work; move it to a local disk"};
  }
  return fd;
}

/// LMDB sets the size of its lock file without room behind it, and maps it: on a full disk the first look at it would
/// be a SIGBUS. 0 or an errno. A file that has its room is not opened here: a close drops the locks of the whole
/// process.
int reserve_lock_file(const std::string& path) {
  constexpr off_t kOctets = (off_t{kReaders} + 2) * 64;  // a cache line for each reader and two for the locks
  const auto name = path + "-lock";
  struct stat status {};
  if (::lstat(name.c_str(), &status) != 0 || (status.st_size >= kOctets && status.st_blocks * 512 >= kOctets)) return 0;
  const UniqueFd fd{::open(name.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  // What else may be wrong, mdb_env_open() says.
  if (!fd.valid() || ::fallocate(fd.get(), 0, 0, kOctets) == 0) return 0;
  return errno == ENOSPC || errno == EDQUOT ? errno : 0;
}

Result<FileIdentity> identity_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error::from_errno(errno, "fstat");
  return FileIdentity{status.st_dev, status.st_ino};
}

}  // namespace

struct Environment::State {
  MDB_env* env = nullptr;
  MDB_dbi table = 0;
  int data_fd = -1;  // LMDB's own
  pid_t owner = ::getpid();
  bool in_transaction = false;
  FileIdentity identity;
  std::string name;  // its path
  off_t largest_seen = 0;
  std::uint64_t proven = kNone;  // transaction whose pages were all found in order

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    // In a forked child, closing would free the reader slots of the parent: LMDB compares the remembered pid only.
    if (env != nullptr && owner == ::getpid()) mdb_env_close(env);
  }

  int open_env(const std::string& path, unsigned flags, std::size_t map_octets) {
    if (const int code = mdb_env_create(&env); code != 0) return code;
    if (const int code = mdb_env_set_maxreaders(env, kReaders); code != 0) return code;
    if (const int code = mdb_env_set_mapsize(env, map_octets); code != 0) return code;
    if (const int code = reserve_lock_file(path); code != 0) return code;
    if (const int code = mdb_env_open(env, path.c_str(), flags | MDB_NOSUBDIR | MDB_NOTLS, 0600); code != 0)
      return code;
    int dead = 0;
    if (const int code = mdb_reader_check(env, &dead); code != 0) return code;
    return mdb_env_get_fd(env, &data_fd);
  }

  /// The meta page that transaction number `wanted` describes. A lock file outlives a data file that is replaced under
  /// it and then carries a number the new file never had; LMDB would pick a meta page by its parity and lose a commit.
  Result<MetaPage> meta_of(std::size_t wanted) {
    struct stat status {};
    if (::fstat(data_fd, &status) != 0) return Error::from_errno(errno, "fstat");
    if (status.st_size < largest_seen) return Error{ErrorKind::malformed, "the file became shorter while open"};
    largest_seen = status.st_size;
    auto metas = read_meta_pages(data_fd);
    if (!metas) return metas.error();
    for (const auto& meta : *metas) {
      if (meta.transaction == wanted) return meta;
    }
    return Error{ErrorKind::busy,
                 "was replaced while another process still has the old file open; restart that process and try again"};
  }

  /// Pages of a snapshot: those on the way to `key`, or all of them.
  Status prove(const MetaPage& meta, const std::string_view* key) {
    if (meta.transaction == proven) return {};
    if (key != nullptr) return check_path(data_fd, meta, *key);
    if (auto ok = check_pages(data_fd, meta); !ok) return ok;
    proven = meta.transaction;
    return {};
  }

  /// With the write lock in hand: who replaces a file holds the lock of the old one and of the new one meanwhile.
  Status still_named() const {
    struct stat status {};
    const bool there = ::lstat(name.c_str(), &status) == 0;
    if (there && FileIdentity{status.st_dev, status.st_ino} == identity) return {};
    return Error{ErrorKind::changed, "the file was replaced meanwhile; try again"};
  }

  /// A read transaction and its meta page. A writer may commit twice between the two looks, or be seen in the middle of
  /// a meta page: look again before believing in damage.
  Result<MetaPage> begin_snapshot(Transaction& transaction) {
    for (int tries = 1;; ++tries) {
      if (const int code = transaction.begin(env, MDB_RDONLY); code != 0) return db_error(code, "read");
      auto meta = meta_of(mdb_txn_id(transaction.get()));
      if (meta || tries == kLooks) return meta;
      transaction.abort();
    }
  }
};

Environment::Environment(std::unique_ptr<State> state) : state_(std::move(state)) {}
Environment::Environment(Environment&&) noexcept = default;
Environment& Environment::operator=(Environment&&) noexcept = default;
Environment::~Environment() = default;

FileIdentity Environment::identity() const {
  return state_->identity;
}

Result<Environment> Environment::open(const std::string& path, bool read_only) {
  auto fd = open_checked(path);
  if (!fd) return fd.error();
  auto identity = identity_of(fd->get());
  if (!identity) return identity.error();
  auto metas = read_meta_pages(fd->get());
  for (int tries = 1; !metas && tries < kLooks; ++tries) metas = read_meta_pages(fd->get());
  if (!metas) return metas.error();
  auto state = std::make_unique<State>();
  const std::size_t map = std::max({kFirstMapOctets, (*metas)[0].map_octets, (*metas)[1].map_octets});
  if (const int code = state->open_env(path, read_only ? MDB_RDONLY : 0U, map); code != 0)
    return db_error(code, "open");
  auto opened = identity_of(state->data_fd);
  if (!opened || *opened != *identity)
    return Error{ErrorKind::changed, "replaced while it was being opened; try again"};
  state->identity = *identity;
  state->name = path;
  Environment environment{std::move(state)};
  if (auto ok = environment.open_table(); !ok) return ok.error();
  return environment;
}

Result<Environment> Environment::create(const std::string& path) {
  for (const auto& name : {path, path + "-lock"}) {
    const UniqueFd fd{::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!fd.valid()) return Error::from_errno(errno, "create");
  }
  {
    State fresh;  // LMDB writes the meta pages of an empty file
    if (const int code = fresh.open_env(path, 0, kFirstMapOctets); code != 0) return db_error(code, "create");
  }
  return open(path);
}

Status Environment::usable() const {
  if (state_->owner != ::getpid())
    return Error{ErrorKind::changed, "the database was opened before fork; open it again"};
  if (state_->in_transaction) return Error{ErrorKind::limit, "a transaction inside a transaction"};
  return {};
}

Status Environment::open_table() {
  Transaction transaction;
  if (auto meta = state_->begin_snapshot(transaction); !meta) return meta.error();
  // Looks at no page: the head of the one table stands in the meta page.
  if (const int code = mdb_dbi_open(transaction.get(), nullptr, 0, &state_->table); code != 0)
    return db_error(code, "open");
  return {};
}

namespace {

/// Set for the duration of a scope.
struct Flag {
  explicit Flag(bool& flag) : flag_(flag) { flag_ = true; }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;
  ~Flag() { flag_ = false; }
  bool& flag_;
};

}  // namespace

Status Environment::read(const std::function<Status(const Reader&)>& body) {
  if (auto ok = usable(); !ok) return ok;
  const Flag busy{state_->in_transaction};
  Transaction transaction;
  auto meta = state_->begin_snapshot(transaction);
  if (!meta) return meta.error();
  return body(
      Reader{transaction.get(), state_->table, [&](const std::string_view* key) { return state_->prove(*meta, key); }});
}

Status Environment::write(const std::function<Status(Writer&)>& body) {
  if (auto ok = usable(); !ok) return ok;
  const Flag busy{state_->in_transaction};
  for (;;) {
    Transaction transaction;
    if (const int code = transaction.begin(state_->env, 0); code != 0) return db_error(code, "write");
    auto meta = state_->meta_of(mdb_txn_id(transaction.get()) - 1);
    if (!meta) return meta.error();
    if (auto ok = state_->still_named(); !ok) return ok;
    if (auto ok = state_->prove(*meta, nullptr); !ok) return ok;
    Writer writer{transaction.get(), state_->table, {}};
    auto done = body(writer);
    int code = writer.map_full_ ? MDB_MAP_FULL : 0;
    if (code == 0 && !done) return done;
    if (code == 0) code = transaction.commit();
    if (code == 0) {
      // What was made of proven pages is in order; without a change the number stays the old one.
      if (writer.changed_) state_->proven = meta->transaction + 1;
      return {};
    }
    if (code != MDB_MAP_FULL || meta->map_octets >= kMaxMapOctets) return write_error(code, state_->env);
    transaction.abort();
    MDB_envinfo info{};
    mdb_env_info(state_->env, &info);
    if (info.me_mapsize >= kMaxMapOctets) return db_error(code, "write");
    const std::size_t larger = std::min<std::size_t>(info.me_mapsize * 2, kMaxMapOctets);
    if (const int resized = mdb_env_set_mapsize(state_->env, larger); resized != 0) return db_error(resized, "write");
  }
}

Status Environment::locked(const std::function<Status()>& body) {
  if (auto ok = usable(); !ok) return ok;
  const Flag busy{state_->in_transaction};
  Transaction transaction;
  if (const int code = transaction.begin(state_->env, 0); code != 0) return db_error(code, "write");
  if (auto ok = state_->still_named(); !ok) return ok;
  return body();
}

Result<std::optional<std::string_view>> Reader::get(std::string_view key) const {
  if (check_) {
    if (auto ok = check_(&key); !ok) return ok.error();
  }
  MDB_val name = to_val(key);
  MDB_val value{};
  const int code = mdb_get(txn_of(transaction_), table_, &name, &value);
  if (code == MDB_NOTFOUND || code == MDB_BAD_VALSIZE) return std::optional<std::string_view>{};
  if (code != 0) return db_error(code, "read");
  return std::optional<std::string_view>{to_view(value)};
}

Status Reader::walk(const std::function<bool(std::string_view, std::string_view)>& visit) const {
  if (check_) {
    if (auto ok = check_(nullptr); !ok) return ok;
  }
  MDB_cursor* raw = nullptr;
  if (const int code = mdb_cursor_open(txn_of(transaction_), table_, &raw); code != 0) return db_error(code, "read");
  const std::unique_ptr<MDB_cursor, CursorClose> cursor{raw};
  MDB_val key{};
  MDB_val value{};
  int code = mdb_cursor_get(cursor.get(), &key, &value, MDB_FIRST);
  while (code == 0) {
    if (!visit(to_view(key), to_view(value))) return {};
    code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT);
  }
  if (code != MDB_NOTFOUND) return db_error(code, "read");
  return {};
}

Result<std::uint64_t> Reader::count() const {
  MDB_stat stat{};
  if (const int code = mdb_stat(txn_of(transaction_), table_, &stat); code != 0) return db_error(code, "read");
  return stat.ms_entries;
}

Status Writer::put(std::string_view key, std::string_view value) {
  return store(key, value, 0);
}

Status Writer::append(std::string_view key, std::string_view value) {
  return store(key, value, MDB_APPEND);
}

Status Writer::store(std::string_view key, std::string_view value, unsigned flags) {
  MDB_val name = to_val(key);
  MDB_val data = to_val(value);
  const int code = mdb_put(txn_of(transaction_), table_, &name, &data, flags);
  if (code == MDB_MAP_FULL) map_full_ = true;
  if (code != 0) return write_error(code, mdb_txn_env(txn_of(transaction_)));
  changed_ = true;
  return {};
}

Result<bool> Writer::remove(std::string_view key) {
  MDB_val name = to_val(key);
  const int code = mdb_del(txn_of(transaction_), table_, &name, nullptr);
  if (code == MDB_MAP_FULL) map_full_ = true;
  if (code == MDB_NOTFOUND) return false;
  if (code != 0) return db_error(code, "write");
  changed_ = true;
  return true;
}

}  // namespace qpop::db
