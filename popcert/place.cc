// SPDX-License-Identifier: MIT
// Files are replaced by rename(2), so that a server that reads them meets the old or the new one.
#include "popcert/place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "common/base/io.h"
#include "common/base/unique_fd.h"
#include "common/config/reader.h"
#include "common/tls/bundle.h"

namespace qpop::popcert {

namespace {

using base::Error;
using base::ErrorKind;

Error of_errno(const char* call, std::string_view what, const std::string& path) { return Error::from_errno(errno, call).at(what, path); }

/// Where the link leads, when the name is one and leads somewhere.
std::string resolved(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISLNK(status.st_mode)) return path;
  std::error_code failed;
  auto real = std::filesystem::canonical(path, failed);
  return failed ? path : real.string();
}

/// A server without root's rights must still be able to read it.
void keep_owner(int fd, const std::string& path) {
  struct stat old {};
  if (::geteuid() != 0 || ::lstat(path.c_str(), &old) != 0 || !S_ISREG(old.st_mode)) return;
  if (::fchown(fd, old.st_uid, old.st_gid) != 0) return;  // root's then: popcert check says so
}

}  // namespace

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string Place::folder() const { return folder_of(file); }

base::Result<Place> place_of(const Command& command) {
  Place out{command.file, command.key_file};
  if (!command.configuration.empty() && out.file.empty()) {
    config::Settings settings;
    const auto problems = config::read_file(command.configuration, settings);
    for (const auto& problem : problems) {
      if (!problem.warning) return Error{ErrorKind::malformed, problem.text}.at("configuration");
    }
    out.file = settings.text(config::Opt::tls_server_cert_file);
    if (out.key_file.empty()) out.key_file = settings.text(config::Opt::tls_private_key_file);
  }
  if (out.file.empty()) out.file = kDefaultFile;
  if (out.key_file == out.file) out.key_file.clear();
  return out;
}

std::string waiting_key_path(const Place& place) { return place.file + ".new-key"; }
std::string authority_path(const Place& place) { return place.folder() + "/ca.pem"; }
std::string authority_key_path(const Place& place) { return place.folder() + "/ca.key"; }

base::Result<FileFacts> read_file(const std::string& path) {
  const bool standard = path == "-";
  // A fifo in its place must not stop us.
  const base::UniqueFd fd{standard ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!fd.valid()) return of_errno("open", "read", path);
  FileFacts out;
  if (::fstat(fd.get(), &out.status) != 0) return of_errno("fstat", "read", path);
  if (!standard && !S_ISREG(out.status.st_mode)) return Error{ErrorKind::unsafe, "not a regular file"}.at("read", path);
  auto octets = base::read_whole(fd.get(), tls::kMostBundleOctets);
  if (!octets && octets.error().kind() == ErrorKind::limit) return Error{ErrorKind::malformed, "too large for certificates"}.at("read", path);
  if (!octets) return octets.error().at("read", path);
  out.octets = std::move(*octets);
  return out;
}

bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

base::Status make_folders(const std::string& folder) {
  for (std::size_t at = 1; at != std::string::npos;) {
    at = folder.find('/', at + 1);
    const auto part = folder.substr(0, at);
    if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) return of_errno("mkdir", "make the folder", part);
  }
  return {};
}

base::Result<FolderLock> FolderLock::take(const std::string& folder) {
  base::UniqueFd fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid()) return of_errno("open", "lock the folder", folder);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Error{ErrorKind::busy, "another popcert is at work here"}.at("lock the folder", folder);
    return of_errno("flock", "lock the folder", folder);
  }
  return FolderLock{fd.release()};
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

base::Result<PendingFile> PendingFile::write(const std::string& path, std::string_view octets, mode_t mode, bool replace) {
  if (!replace && exists(path)) return Error{ErrorKind::denied, "exists; --force replaces it"}.at("write", path);
  PendingFile out{resolved(path), replace};
  std::string temporary = out.path_ + ".XXXXXX";
  const base::UniqueFd fd{::mkostemp(temporary.data(), O_CLOEXEC)};
  if (!fd.valid()) return of_errno("mkostemp", "write", path);
  out.temporary_ = temporary;
  keep_owner(fd.get(), out.path_);
  if (::fchmod(fd.get(), mode) != 0) return of_errno("fchmod", "write", path);
  if (auto done = base::write_whole(fd.get(), octets); !done) return done.error().at("write", path);
  if (::fsync(fd.get()) != 0) return of_errno("fsync", "write", path);
  return out;
}

base::Status PendingFile::commit() {
  // link(2) refuses an existing name; rename(2) would not.
  const bool named = replace_ ? ::rename(temporary_.c_str(), path_.c_str()) == 0 : ::link(temporary_.c_str(), path_.c_str()) == 0;
  if (!named) return of_errno("rename", "write", path_);
  if (!replace_) ::unlink(temporary_.c_str());
  temporary_.clear();
  const base::UniqueFd folder{::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!folder.valid() || ::fsync(folder.get()) != 0) return of_errno("fsync", "write", path_);
  return {};
}

PendingFile::PendingFile(PendingFile&& other) noexcept
    : path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, {})), replace_(other.replace_) {}

PendingFile::~PendingFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

base::Status write_file(const std::string& path, std::string_view octets, mode_t mode, bool replace) {
  auto file = PendingFile::write(path, octets, mode, replace);
  return file ? file->commit() : base::Status{file.error()};
}

}  // namespace qpop::popcert
