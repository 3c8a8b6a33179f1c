// SPDX-License-Identifier: MIT
// The private key that opens APOP secrets.
#include "common/authdb/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/authdb/file_rules.h"
#include "common/digest/digest.h"

namespace qpop::authdb {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Secret;
using base::Status;
using base::UniqueFd;

namespace {

constexpr std::string_view kHead = "qpopper-seal-key 1 ";
constexpr std::size_t kKeyOctets = 32;
constexpr std::size_t kFileOctets = kHead.size() + 44 + 1;  // 44: base64 of 32 octets

}  // namespace

std::string key_path_of(const std::string& database_path) {
  return database_path + ".key";
}

Result<UniqueFd> open_key_file(const std::string& path) {
  const FileRule rule{.what = "POP authentication key", .owner = ::geteuid(), .mode = 0400};
  if (auto ok = check_file(path, rule); !ok) return ok.error();
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (!fd.valid()) return Error::from_errno(errno, "open").at(rule.what, path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, "fstat").at(rule.what, path);
  if (auto ok = check_file_status(status, path, rule); !ok) return ok.error();
  return fd;
}

Result<Secret> read_key(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error::from_errno(errno, "fstat").at("POP authentication key");
  if (!S_ISREG(status.st_mode) || (status.st_mode & 077) != 0) {
    return Error{ErrorKind::unsafe, "POP authentication key can be used by others than its owner; chmod 400 it"};
  }
  std::array<char, kFileOctets + 1> buffer{};
  ssize_t size = 0;
  do {
    size = ::pread(fd, buffer.data(), buffer.size(), 0);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return Error::from_errno(errno, "read").at("POP authentication key");
  const std::string_view text{buffer.data(), static_cast<std::size_t>(size)};
  Secret key;
  if (text.size() == kFileOctets && text.starts_with(kHead) && text.back() == '\n') {
    auto raw = digest::base64_decode(text.substr(kHead.size(), 44));
    if (raw && raw->size() == kKeyOctets) key.assign(*raw);
    // NOLINTNEXTLINE(clang-analyzer-cplusplus.InnerPointer): nothing between here and there changes the string
    if (raw) base::wipe(raw->data(), raw->size());
  }
  base::wipe(buffer.data(), buffer.size());
  if (key.empty()) return Error{ErrorKind::malformed, "POP authentication key: not a key file"};
  return key;
}

Status create_key_file(const std::string& path, const Secret& private_key) {
  UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400)};
  if (!fd.valid()) return Error::from_errno(errno, "create").at("POP authentication key", path);
  auto encoded = digest::base64_encode(private_key.view());
  std::string line;
  line.reserve(kFileOctets);
  line.append(kHead).append(encoded).append("\n");
  const ssize_t written = ::write(fd.get(), line.data(), line.size());
  const int saved = errno;
  base::wipe(encoded.data(), encoded.size());
  base::wipe(line.data(), line.size());
  if (written != static_cast<ssize_t>(kFileOctets)) {
    return Error::from_errno(written < 0 ? saved : ENOSPC, "write").at("POP authentication key", path);
  }
  if (::fchmod(fd.get(), 0400) != 0 || ::fsync(fd.get()) != 0)
    return Error::from_errno(errno, "fsync").at("POP authentication key", path);
  if (const int code = fd.close_checked(); code != 0)
    return Error::from_errno(code, "close").at("POP authentication key", path);
  return {};
}

}  // namespace qpop::authdb
