// SPDX-License-Identifier: MIT
// Making a new database with its lock file and key file.
//
// 1. A folder that only we can enter is made beside the database. 2. Database, lock file and key file are built and
// synced in it, owner set. 3. Each is renamed to its place: lock file, key file, database; then the folder of the
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
#include "common/base/unique_fd.h"

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

/// The folder of step 1; removed with what is left in it.
class Workshop {
 public:
  static Result<Workshop> make(const std::string& beside) {
    std::string name = beside + "/.pop.auth-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) return Error::from_errno(errno, "mkdtemp").at("folder", beside);
    return Workshop{std::move(name)};
  }
  Workshop(Workshop&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Workshop& operator=(Workshop&&) = delete;
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;
  ~Workshop() {
    if (path_.empty()) return;
    for (const auto& file : {database(), lock(), key()}) ::unlink(file.c_str());
    ::rmdir(path_.c_str());
  }
  std::string database() const { return path_ + "/db"; }
  std::string lock() const { return path_ + "/db-lock"; }
  std::string key() const { return path_ + "/db.key"; }

 private:
  explicit Workshop(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Status build(const Workshop& workshop, const NewDatabase& wanted) {
  auto keys = digest::generate_key_pair();
  if (!keys) return keys.error();
  Meta meta{.public_key = keys->public_key, .iterations = wanted.iterations, .created = ::time(nullptr)};
  digest::random_bytes(meta.server_key);
  {
    auto environment = db::Environment::create(workshop.database());
    if (!environment) return environment.error();
    auto ok = environment->write([&](db::Writer& writer) { return writer.put(kMetaKey, encode_meta(meta)); });
    if (!ok) return ok;
  }
  return create_key_file(workshop.key(), keys->private_key);
}

Status give_away(const std::string& path, uid_t owner, gid_t group) {
  if (owner == ::geteuid()) return {};
  if (::lchown(path.c_str(), owner, group) != 0) return Error::from_errno(errno, "chown").at(path);
  return {};
}

Status sync_folder(const std::string& folder) {
  const UniqueFd fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid() || ::fsync(fd.get()) != 0) return Error::from_errno(errno, "fsync").at("folder", folder);
  return {};
}

}  // namespace

bool is_empty_file(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0;
}

Status initialise(const NewDatabase& wanted) {
  const auto folder = folder_of(wanted.path);
  const auto what = [&](const Error& error) { return error.at("create POP authentication DB", wanted.path); };
  if (auto ok = check_folder(folder); !ok) return what(ok.error());
  auto workshop = Workshop::make(folder);
  if (!workshop) return what(workshop.error());
  if (auto ok = build(*workshop, wanted); !ok) return what(ok.error());
  for (const auto& file : {workshop->database(), workshop->lock()}) {
    if (auto ok = give_away(file, wanted.owner, wanted.group); !ok) return what(ok.error());
  }
  const std::array<std::pair<std::string, std::string>, 3> moves{{{workshop->lock(), wanted.path + "-lock"},
                                                                  {workshop->key(), key_path_of(wanted.path)},
                                                                  {workshop->database(), wanted.path}}};
  for (const auto& [from, to] : moves) {
    if (::rename(from.c_str(), to.c_str()) != 0) return what(Error::from_errno(errno, "rename").at(to));
  }
  if (auto ok = sync_folder(folder); !ok) return what(ok.error());
  return {};
}

}  // namespace qpop::authdb
