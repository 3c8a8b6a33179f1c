// SPDX-License-Identifier: MIT
// System calls, one for each function.
#include "common/files/file_system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

#include "common/base/io.h"

namespace qpop::files {

namespace {

using base::Error;
using base::Result;
using base::Status;
using base::UniqueFd;

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

Status checked(int result, std::string_view call) {
  if (result == 0) return {};
  return Error::from_errno(errno, call);
}

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * kNanosPerSecond + time.tv_nsec;
}

timespec to_timespec(std::int64_t ns) {
  timespec time{};
  time.tv_sec = static_cast<time_t>(ns / kNanosPerSecond);
  time.tv_nsec = static_cast<decltype(time.tv_nsec)>(ns % kNanosPerSecond);
  if (time.tv_nsec < 0) {
    time.tv_nsec += kNanosPerSecond;
    --time.tv_sec;
  }
  return time;
}

FileStatus convert(const struct stat& from) {
  FileStatus to;
  to.identity.device = from.st_dev;
  to.identity.inode = from.st_ino;
  to.identity.size = static_cast<std::uint64_t>(from.st_size);
  to.identity.mtime_ns = nanoseconds(from.st_mtim);
  to.identity.ctime_ns = nanoseconds(from.st_ctim);
  to.mode = from.st_mode;
  to.owner = from.st_uid;
  to.links = from.st_nlink;
  to.atime_ns = nanoseconds(from.st_atim);
  return to;
}

Result<bool> lock_result(int result, std::string_view call) {
  if (result == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  return Error::from_errno(errno, call);
}

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

Result<UniqueFd> SystemFileSystem::open_at(int folder, const std::string& name, int flags, unsigned mode) {
  UniqueFd fd{::openat(folder, name.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode)};
  if (!fd.valid()) return Error::from_errno(errno, "open");
  return fd;
}

Result<FileStatus> SystemFileSystem::status(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error::from_errno(errno, "fstat");
  return convert(status);
}

Result<FileStatus> SystemFileSystem::status_at(int folder, const std::string& name) {
  struct stat status {};
  if (::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return Error::from_errno(errno, "fstatat");
  return convert(status);
}

Result<std::size_t> SystemFileSystem::read_at(int fd, std::span<char> out, std::uint64_t offset) {
  const ssize_t got = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
  if (got < 0) return Error::from_errno(errno, "pread");
  return static_cast<std::size_t>(got);
}

Result<std::size_t> SystemFileSystem::write_at(int fd, std::string_view bytes, std::uint64_t offset) {
  const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  if (put < 0) return Error::from_errno(errno, "pwrite");
  return static_cast<std::size_t>(put);
}

Status SystemFileSystem::truncate(int fd, std::uint64_t size) {
  return checked(::ftruncate(fd, static_cast<off_t>(size)), "ftruncate");
}

Status SystemFileSystem::allocate(int fd, std::uint64_t size) {
  return checked(::fallocate(fd, 0, 0, static_cast<off_t>(size)), "fallocate");
}

void SystemFileSystem::start_writing(int fd, std::uint64_t offset, std::uint64_t length) {
  static_cast<void>(::sync_file_range(fd, static_cast<off64_t>(offset), static_cast<off64_t>(length), SYNC_FILE_RANGE_WRITE));
}

Status SystemFileSystem::sync_data(int fd) {
  return checked(::fdatasync(fd), "fdatasync");
}

Status SystemFileSystem::sync(int fd) {
  return checked(::fsync(fd), "fsync");
}

Status SystemFileSystem::sync_directory(int folder) {
  return checked(::fsync(folder), "fsync of the folder");
}

Status SystemFileSystem::rename_at(int folder, const std::string& from, const std::string& to) {
  return checked(::renameat(folder, from.c_str(), folder, to.c_str()), "rename");
}

Status SystemFileSystem::link_at(int folder, const std::string& from, const std::string& to) {
  return checked(::linkat(folder, from.c_str(), folder, to.c_str(), 0), "link");
}

Result<UniqueFd> SystemFileSystem::unnamed_file(int folder, unsigned mode) {
  return SystemFileSystem::open_at(folder, ".", O_TMPFILE | O_WRONLY, mode);
}

Status SystemFileSystem::name_file(int fd, int folder, const std::string& name) {
  // Without a right of its own this call is for kernels since 6.10; the other way needs /proc.
  if (::linkat(fd, "", folder, name.c_str(), AT_EMPTY_PATH) == 0) return {};
  if (errno == EEXIST) return Error::from_errno(EEXIST, "link");
  const std::string self = fmt::format("/proc/self/fd/{}", fd);
  return checked(::linkat(AT_FDCWD, self.c_str(), folder, name.c_str(), AT_SYMLINK_FOLLOW), "link");
}

Status SystemFileSystem::unlink_at(int folder, const std::string& name) {
  return checked(::unlinkat(folder, name.c_str(), 0), "unlink");
}

Status SystemFileSystem::make_directory_at(int folder, const std::string& name, unsigned mode) {
  return checked(::mkdirat(folder, name.c_str(), mode), "mkdir");
}

Status SystemFileSystem::close(UniqueFd fd) {
  const int failed = fd.close_checked();
  if (failed == 0 || failed == EINTR) return {};  // Linux: the descriptor is gone and nothing was lost by the signal
  return Error::from_errno(failed, "close");
}

Result<bool> SystemFileSystem::try_lock_record(int fd) {
  struct flock lock = whole_file(F_WRLCK);
  return lock_result(::fcntl(fd, F_OFD_SETLK, &lock), "fcntl lock");
}

Status SystemFileSystem::unlock_record(int fd) {
  struct flock lock = whole_file(F_UNLCK);
  return checked(::fcntl(fd, F_OFD_SETLK, &lock), "fcntl unlock");
}

Result<bool> SystemFileSystem::try_flock(int fd) {
  return lock_result(::flock(fd, LOCK_EX | LOCK_NB), "flock");
}

Result<bool> SystemFileSystem::try_lease(int fd) {
  if (::fcntl(fd, F_SETLEASE, F_WRLCK) == 0) return true;
  return false;
}

Status SystemFileSystem::unlock_flock(int fd) {
  return checked(::flock(fd, LOCK_UN), "flock");
}

Status SystemFileSystem::set_times(int fd, std::int64_t atime_ns, std::int64_t mtime_ns) {
  const std::array<timespec, 2> times{to_timespec(atime_ns), to_timespec(mtime_ns)};
  return checked(::futimens(fd, times.data()), "futimens");
}

Result<UniqueFd> SystemFileSystem::memory_file() { return base::make_memory_file("listing"); }

Status SystemFileSystem::seal(int fd) {
  return checked(::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), "seal");
}

void SystemFileSystem::sleep_ms(std::uint32_t duration) {
  const timespec time = to_timespec(std::int64_t{duration} * 1'000'000);
  ::nanosleep(&time, nullptr);
}

bool SystemFileSystem::process_exists(std::int64_t pid) {
  return pid > 0 && (::kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM);
}

std::string SystemFileSystem::boot_name() {
  if (!boot_name_.empty()) return boot_name_;
  std::array<char, 64> boot{};
  const base::UniqueFd fd{::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)};
  const auto got = fd.valid() ? ::read(fd.get(), boot.data(), boot.size()) : -1;
  struct stat space {};
  if (got <= 0 || ::stat("/proc/self/ns/pid", &space) != 0) return {};
  const std::string_view text{boot.data(), static_cast<std::size_t>(got)};
  return boot_name_ = fmt::format("{} {}", text.substr(0, text.find('\n')), space.st_ino);
}

std::string SystemFileSystem::host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string{name.data()} : std::string{};
}

}  // namespace qpop::files
