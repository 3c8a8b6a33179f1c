// SPDX-License-Identifier: MIT
// Owner, mode and type of the files of the database.
#include "common/authdb/file_rules.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/base/unique_fd.h"

namespace qpop::authdb {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;

Result<uid_t> expected_owner() {
  if (::geteuid() != 0) return ::geteuid();
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 16384> buffer{};
  const int code = ::getpwnam_r(kOwnerName, &entry, buffer.data(), buffer.size(), &found);
  if (found != nullptr) return found->pw_uid;
  if (code != 0 && code != ENOENT) return Error::from_errno(code, "getpwnam");
  return Error{ErrorKind::not_found,
               fmt::format("the system has no user \"{}\"; create it: useradd --system --shell /usr/sbin/nologin {}",
                           kOwnerName, kOwnerName)};
}

bool is_gdbm(std::string_view head) {
  // 32 and 64 bit offsets, the number that both had first, and those with synchronisation counters since 1.21.
  constexpr std::array<std::uint32_t, 5> kMagics{0x13579ace, 0x13579acd, 0x13579acf, 0x13579ad0, 0x13579ad1};
  std::uint32_t word = 0;
  if (head.size() < sizeof word) return false;
  std::memcpy(&word, head.data(), sizeof word);
  return std::ranges::find(kMagics, word) != kMagics.end();
}

bool is_gdbm_file(const std::string& path) {
  const base::UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  std::array<char, 4> head{};
  return fd.valid() && ::read(fd.get(), head.data(), head.size()) == static_cast<ssize_t>(head.size()) &&
         is_gdbm({head.data(), head.size()});
}

Status check_file_status(const struct stat& status, const std::string& path, const FileRule& rule) {
  const auto unsafe = [&](std::string_view why) {
    return Error{ErrorKind::unsafe, fmt::format("{} {} {}", rule.what, path, why)};
  };
  if (S_ISLNK(status.st_mode)) return unsafe("is a symbolic link; name the file itself");
  if (!S_ISREG(status.st_mode)) return unsafe("is not a regular file");
  if (status.st_uid != rule.owner) {
    return unsafe(fmt::format("belongs to uid {} instead of {}; chown {} it", status.st_uid, rule.owner, rule.owner));
  }
  const mode_t mode = status.st_mode & 07777;
  if (mode != rule.mode) return unsafe(fmt::format("has wrong mode ({:04o}); chmod {:o} it", mode, rule.mode));
  if (status.st_nlink != 1) return unsafe(fmt::format("has {} names; remove the other ones", status.st_nlink));
  return {};
}

Status check_file(const std::string& path, const FileRule& rule) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return Error::from_errno(errno, "lstat").at(rule.what, path);
  return check_file_status(status, path, rule);
}

}  // namespace qpop::authdb
