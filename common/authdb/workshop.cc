// SPDX-License-Identifier: MIT
// Building beside the database and putting in its place.
#include "common/authdb/workshop.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <memory>
#include <vector>

#include "common/authdb/key_file.h"

namespace qpop::authdb {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;

namespace {

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Who can write to the folder can exchange what we make in it; a sticky folder like /tmp is fine.
Status check_folder(const std::string& folder) {
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0) return Error::from_errno(errno, "stat").at("folder", folder);
  if (!S_ISDIR(status.st_mode)) return Error{ErrorKind::unsafe, fmt::format("{} is not a folder", folder)};
  const bool ours = status.st_uid == 0 || status.st_uid == ::geteuid();
  const bool shared = (status.st_mode & 022) != 0 && (status.st_mode & S_ISVTX) == 0;
  if (ours && !shared) return {};
  return Error{ErrorKind::unsafe,
               fmt::format("others can change the folder {}; the database needs one that only you or root can write to",
                           folder)};
}

constexpr std::string_view kPrefix = ".pop.auth-";
constexpr std::array kFiles{"db", "db-lock", "db.key", "source", "source-lock"};
constexpr time_t kYoung = 60;  // seconds: its maker may not have locked it yet

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

/// Removes the folders of killed processes: ours, not young, and locked by nobody.
void sweep(const std::string& path) {
  const std::unique_ptr<DIR, CloseFolder> folder{::opendir(path.c_str())};
  if (!folder) return;
  const int at = ::dirfd(folder.get());
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name{entry->d_name};
    if (!name.starts_with(kPrefix) || name.size() != kPrefix.size() + 6) continue;
    const UniqueFd old{::openat(at, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    struct stat status {};
    if (!old.valid() || ::fstat(old.get(), &status) != 0 || status.st_uid != ::geteuid()) continue;
    if (::time(nullptr) - status.st_mtime < kYoung || ::flock(old.get(), LOCK_EX | LOCK_NB) != 0) continue;
    for (const char* file : kFiles) ::unlinkat(old.get(), file, 0);
    ::unlinkat(at, entry->d_name, AT_REMOVEDIR);
  }
}

Status give_away(const std::string& path, uid_t owner, gid_t group) {
  if (owner == ::geteuid()) return {};
  if (::lchown(path.c_str(), owner, group) != 0) return Error::from_errno(errno, "chown").at(path);
  return {};
}

bool is_regular(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

/// Runs `body` under the write lock of the database at `path`, or without when there is none that can be opened: nobody
/// can write to such a file either.
Status under_lock(const std::string& path, const std::function<Status()>& body) {
  // LMDB would make a missing lock file.
  if (!is_regular(path) || !is_regular(path + "-lock")) return body();
  auto environment = db::Environment::open(path);
  if (!environment) return body();
  return environment->locked(body);
}

Status rename_all(const Workshop& workshop, const Place& place, WithKey with_key) {
  std::vector<std::pair<std::string, std::string>> moves{{workshop.lock(), place.path + "-lock"}};
  if (with_key == WithKey::yes) moves.emplace_back(workshop.key(), key_path_of(place.path));
  moves.emplace_back(workshop.database(), place.path);
  for (const auto& [from, to] : moves) {
    if (::rename(from.c_str(), to.c_str()) != 0) return Error::from_errno(errno, "rename").at(to);
  }
  return sync_folder_of(place.path);
}

}  // namespace

Status sync_folder_of(const std::string& path) {
  const auto folder = folder_of(path);
  const UniqueFd fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid() || ::fsync(fd.get()) != 0) return Error::from_errno(errno, "fsync").at("folder", folder);
  return {};
}

Result<Workshop> Workshop::make(const std::string& database_path) {
  const auto folder = folder_of(database_path);
  if (auto ok = check_folder(folder); !ok) return ok.error();
  sweep(folder);
  std::string name = fmt::format("{}/{}XXXXXX", folder, kPrefix);
  if (::mkdtemp(name.data()) == nullptr) return Error::from_errno(errno, "mkdtemp").at("folder", folder);
  UniqueFd lock{::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (lock.valid()) ::flock(lock.get(), LOCK_SH | LOCK_NB);
  return Workshop{std::move(name), std::move(lock)};
}

Workshop::~Workshop() {
  if (path_.empty()) return;
  for (const char* file : kFiles) ::unlink((path_ + "/" + file).c_str());
  ::rmdir(path_.c_str());
}

Status install(const Workshop& workshop, const Place& place, WithKey with_key, bool old_locked) {
  for (const auto& file : {workshop.database(), workshop.lock()}) {
    if (auto ok = give_away(file, place.owner, place.group); !ok) return ok;
  }
  const auto inner = [&] {
    return under_lock(workshop.database(), [&] { return rename_all(workshop, place, with_key); });
  };
  return old_locked ? inner() : under_lock(place.path, inner);
}

Status copy_records(const db::Reader& from, db::Environment& to) {
  return to.write([&](db::Writer& writer) -> Status {
    Status stored;
    auto walked = from.walk([&](std::string_view key, std::string_view value) {
      stored = writer.append(key, value);
      return stored.has_value();
    });
    return walked ? stored : walked;
  });
}

}  // namespace qpop::authdb
