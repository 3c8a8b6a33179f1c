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

[[nodiscard]] std::string folder_of(const std::string& path);

/// From --file and --key-file, else from the tls- options of the configuration, else kDefaultFile.
/// Errors  those of the configuration.
[[nodiscard]] base::Result<Place> place_of(const Command& command);

/// The key of a request that is out.
[[nodiscard]] std::string waiting_key_path(const Place& place);

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

/// A file that is written whole beside its place, with its mode from the first octet, and takes its name when all is ready. What it
/// replaces gives it its owner; a symbolic link stays one, and what it points to is replaced. Without commit() nothing is left.
class PendingFile {
 public:
  /// `replace` false: an existing file is an error. Errors  denied: it exists; no_space; io.
  [[nodiscard]] static base::Result<PendingFile> write(const std::string& path, std::string_view octets, mode_t mode, bool replace);
  /// Errors  denied: it exists meanwhile; io.
  [[nodiscard]] base::Status commit();
  PendingFile(PendingFile&& other) noexcept;
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  PendingFile& operator=(PendingFile&&) = delete;
  ~PendingFile();

 private:
  PendingFile(std::string path, bool replace) : path_(std::move(path)), replace_(replace) {}

  std::string path_;
  std::string temporary_;  // empty: nothing to remove
  bool replace_;
};

/// Both steps of a PendingFile.
[[nodiscard]] base::Status write_file(const std::string& path, std::string_view octets, mode_t mode, bool replace);

}  // namespace qpop::popcert
