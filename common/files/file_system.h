// SPDX-License-Identifier: MIT
// The one way from maildrop code to the system: every file, lock and directory call of common/spool is a virtual
// function here.
//
// Why: tests record the calls, fail the n-th, cut a write short, or let the process "die" at it, and look what is left.
// So nothing above may call the system itself, except that UniqueFd closes on error paths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/listing/listing.h"

namespace qpop::files {

struct FileStatus {
  listing::SpoolIdentity identity;
  std::uint32_t mode = 0;  ///< st_mode
  std::uint32_t owner = 0;
  std::uint64_t links = 0;
  std::int64_t atime_ns = 0;

  [[nodiscard]] bool same_file(const FileStatus& other) const {
    return identity.device == other.identity.device && identity.inode == other.identity.inode;
  }
};

/// Names are single path components, taken relative to an open folder. No call follows a symbolic link in its last
/// component, retries after EINTR or completes a short transfer: io.h does that. Errors carry the errno.
class FileSystem {
 public:
  FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;
  virtual ~FileSystem() = default;

  /// O_CLOEXEC and O_NOFOLLOW are added to `flags`.
  virtual base::Result<base::UniqueFd> open_at(int folder, const std::string& name, int flags, unsigned mode) = 0;
  virtual base::Result<FileStatus> status(int fd) = 0;
  virtual base::Result<FileStatus> status_at(int folder, const std::string& name) = 0;
  /// May be short; 0 at the end of the file.
  virtual base::Result<std::size_t> read_at(int fd, std::span<char> out, std::uint64_t offset) = 0;
  /// May be short.
  virtual base::Result<std::size_t> write_at(int fd, std::string_view bytes, std::uint64_t offset) = 0;
  virtual base::Status truncate(int fd, std::uint64_t size) = 0;
  /// Reserves space for the first `size` octets and makes the file that long. unsupported: this file system cannot.
  virtual base::Status allocate(int fd, std::uint64_t size) = 0;
  /// Begins to write octets to the disk, so that a later sync has less to wait for. Promises nothing.
  virtual void start_writing(int fd, std::uint64_t offset, std::uint64_t length) = 0;
  virtual base::Status sync_data(int fd) = 0;
  virtual base::Status sync(int fd) = 0;
  virtual base::Status sync_directory(int folder) = 0;
  virtual base::Status rename_at(int folder, const std::string& from, const std::string& to) = 0;
  virtual base::Status link_at(int folder, const std::string& from, const std::string& to) = 0;
  /// A file for writing in `folder` that has no name yet, so that it is gone with the process that made it.
  /// Fails where the file system, or an old kernel, has no such files: then make it under its name.
  virtual base::Result<base::UniqueFd> unnamed_file(int folder, unsigned mode) = 0;
  /// Gives it its name; EEXIST: the name is taken.
  virtual base::Status name_file(int fd, int folder, const std::string& name) = 0;
  virtual base::Status unlink_at(int folder, const std::string& name) = 0;
  virtual base::Status make_directory_at(int folder, const std::string& name, unsigned mode) = 0;
  virtual base::Status close(base::UniqueFd fd) = 0;
  /// Write lock on the whole file, owned by the open file description (fcntl); false: somebody else holds it.
  virtual base::Result<bool> try_lock_record(int fd) = 0;
  virtual base::Status unlock_record(int fd) = 0;
  /// Exclusive flock(2); false: somebody else holds it.
  virtual base::Result<bool> try_flock(int fd) = 0;
  virtual base::Status unlock_flock(int fd) = 0;
  /// Write lease: until `fd` is closed, another process's open(2) waits or fails with EAGAIN. false: refused, because
  /// somebody else has the file open, or the file system has no leases. The process must ignore SIGIO.
  virtual base::Result<bool> try_lease(int fd) = 0;
  virtual base::Status set_times(int fd, std::int64_t atime_ns, std::int64_t mtime_ns) = 0;
  /// A file without a name that can be sealed.
  virtual base::Result<base::UniqueFd> memory_file() = 0;
  /// No write, growth or shrinking of a memory file from now on.
  virtual base::Status seal(int fd) = 0;
  virtual void sleep_ms(std::uint32_t duration) = 0;
  virtual bool process_exists(std::int64_t pid) = 0;
  virtual std::string host_name() = 0;
  /// Names this run of the host, and the space that our process numbers belong to: "BOOT SPACE". Empty when unknown.
  virtual std::string boot_name() = 0;
};

/// The kernel.
class SystemFileSystem : public FileSystem {
 public:
  base::Result<base::UniqueFd> open_at(int folder, const std::string& name, int flags, unsigned mode) override;
  base::Result<FileStatus> status(int fd) override;
  base::Result<FileStatus> status_at(int folder, const std::string& name) override;
  base::Result<std::size_t> read_at(int fd, std::span<char> out, std::uint64_t offset) override;
  base::Result<std::size_t> write_at(int fd, std::string_view bytes, std::uint64_t offset) override;
  base::Status truncate(int fd, std::uint64_t size) override;
  base::Status allocate(int fd, std::uint64_t size) override;
  void start_writing(int fd, std::uint64_t offset, std::uint64_t length) override;
  base::Status sync_data(int fd) override;
  base::Status sync(int fd) override;
  base::Status sync_directory(int folder) override;
  base::Status rename_at(int folder, const std::string& from, const std::string& to) override;
  base::Status link_at(int folder, const std::string& from, const std::string& to) override;
  base::Result<base::UniqueFd> unnamed_file(int folder, unsigned mode) override;
  base::Status name_file(int fd, int folder, const std::string& name) override;
  base::Status unlink_at(int folder, const std::string& name) override;
  base::Status make_directory_at(int folder, const std::string& name, unsigned mode) override;
  base::Status close(base::UniqueFd fd) override;
  base::Result<bool> try_lock_record(int fd) override;
  base::Status unlock_record(int fd) override;
  base::Result<bool> try_flock(int fd) override;
  base::Status unlock_flock(int fd) override;
  base::Result<bool> try_lease(int fd) override;
  base::Status set_times(int fd, std::int64_t atime_ns, std::int64_t mtime_ns) override;
  base::Result<base::UniqueFd> memory_file() override;
  base::Status seal(int fd) override;
  void sleep_ms(std::uint32_t duration) override;
  bool process_exists(std::int64_t pid) override;
  std::string host_name() override;
  std::string boot_name() override;

 private:
  std::string boot_name_;  ///< once known; a sandbox may hide it later
};

}  // namespace qpop::files
