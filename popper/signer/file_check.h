// SPDX-License-Identifier: MIT
// popper --check: whether the signer could work with the certificate files.
//
// Runs as: root, or the starting user; the files are parsed in a child with the signer's rights.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/base/result.h"

namespace qpop::signer {

struct FileToCheck {
  std::string name;
  int fd = -1;
  int key_fd = -1;  ///< -1: the key lies in the same file
  bool client_authorities = false;
};

struct FilesToCheck {
  std::vector<FileToCheck> files;
  std::string ciphers;  ///< option tls-cipher-list
  uid_t uid = 0;
  gid_t gid = 0;
};

/// What is worth a warning, printable; empty when all is well.
/// Errors  malformed: a file, or the list of ciphers, that cannot be used; io: the child died or took half a minute.
[[nodiscard]] base::Result<std::string> check_files(const FilesToCheck& what);

}  // namespace qpop::signer
