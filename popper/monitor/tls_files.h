// SPDX-License-Identifier: MIT
// The files that hold certificates and keys: which they are, opened safely, watched. Nothing here reads what is in them.
// Runs as: root, or the user who started the server.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/config/settings.h"

namespace qpop::monitor {

struct TlsFile {
  std::string path;
  std::string key_path;             ///< "" when the key lies in `path`
  bool client_authorities = false;  ///< no pair, but authorities of clients
  std::string place{};              ///< "tls-more-cert-files (qpopper.config line 3)"
};

/// In the order in which they are served; the first is the default certificate.
[[nodiscard]] std::vector<TlsFile> tls_files(const config::Settings& settings);

/// Symbolic links are followed: the tools that renew certificates make them.
/// Errors  not_found; denied; unsafe: no regular file, of another owner than us or root, readable by others though a key lies in it,
///         writable by others; io.
[[nodiscard]] base::Result<base::UniqueFd> open_tls_file(const std::string& path, bool holds_key);

/// Tells when one of some files is another one, by inotify, and by looking when it is asked to (a network file system tells nothing).
class FileWatch {
 public:
  /// Forgets what it watched before.
  void watch(std::vector<std::string> paths);
  /// To be polled for input; -1 when the system has no inotify to spare: then there is looking only.
  [[nodiscard]] int fd() const { return inotify_.get(); }
  /// Takes what inotify has to say; most of it is about other files of the same folders.
  void drain();
  /// Whether a file is another one, or has other contents, than at the last call or at watch().
  [[nodiscard]] bool has_changed();

 private:
  struct Seen {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = -1;
    std::int64_t changed_ns = 0;
    std::int64_t modified_ns = 0;
    bool operator==(const Seen&) const = default;
  };
  static Seen look(const std::string& path);
  void watch_folders();

  std::vector<std::string> paths_;
  std::vector<Seen> seen_;
  base::UniqueFd inotify_;
};

}  // namespace qpop::monitor
