// SPDX-License-Identifier: MIT
// Where certificate and key lie, and how they are read and replaced there.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "popcert/command_line.h"

namespace qpop::popcert {

inline constexpr const char* kDefaultFile = "/etc/mail/certs/cert.pem";

struct Place {
  std::string file;      ///< the chain, and the key unless key_file is set
  std::string key_file;  ///< may be empty
  [[nodiscard]] const std::string& key_path() const { return key_file.empty() ? file : key_file; }
  [[nodiscard]] std::string folder() const;
};

/// From --file and --key-file, else from the tls- options of the configuration, else kDefaultFile.
/// Errors  those of the configuration.
[[nodiscard]] base::Result<Place> place_of(const Command& command);

/// The private authority beside the certificates: ca.pem and ca.key.
[[nodiscard]] std::string authority_path(const Place& place);
[[nodiscard]] std::string authority_key_path(const Place& place);

struct FileFacts {
  std::string octets;
  struct stat status {};
};

/// A regular file of at most tls::kMostBundleOctets octets; "-" is standard input.
/// Errors  not_found; denied; unsafe: no regular file; malformed: too large; io.
[[nodiscard]] base::Result<FileFacts> read_file(const std::string& path);

[[nodiscard]] bool exists(const std::string& path);

/// Makes missing folders with mode 0755.
[[nodiscard]] base::Status make_folders(const std::string& folder);

/// While it lives no other popcert changes the folder. Errors  busy.
class FolderLock {
 public:
  [[nodiscard]] static base::Result<FolderLock> take(const std::string& folder);
  FolderLock(FolderLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

/// Writes a file whole or not at all: under another name with `mode` from the first octet, synced, then given its name, folder synced.
/// `replace` false: an existing file is an error. Errors  denied: it exists; no_space; io.
[[nodiscard]] base::Status write_file(const std::string& path, std::string_view octets, mode_t mode, bool replace);

}  // namespace qpop::popcert
