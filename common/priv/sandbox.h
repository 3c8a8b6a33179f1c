// SPDX-License-Identifier: MIT
// What a role may still ask of the kernel: system calls (seccomp), files (Landlock), resources (rlimits).
//
// Each function returns `unsupported` when the kernel lacks the feature: the caller logs that once and goes on. Any other error is
// fatal for the role.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace qpop::priv {

/// Makes what the two functions below load, unless it is there. For a process that will fork many: a filter costs ten times as much to make as to load.
void prepare_filters();

/// Session role: an allow-list of at most 25 calls; anything else kills the process. No open, no socket, no fork, no exec.
[[nodiscard]] base::Status restrict_calls_of_session();

/// Roles that touch files: everything but what only an attacker would use (exec, ptrace, mount, set*id, new sockets, ...).
[[nodiscard]] base::Status restrict_calls_of_file_role();

/// Landlock: no file outside `folders` (directory or file descriptors) can be opened for reading or writing any more.
[[nodiscard]] base::Status restrict_files_to(std::span<const int> folders);

/// Names of the features above that this kernel lacks; for one log line at start.
[[nodiscard]] std::vector<std::string> missing_kernel_features();

struct Limits {
  std::uint64_t address_space = 0;  ///< octets; 0: as it is. Ignored in builds with sanitizers, which reserve terabytes.
  bool no_new_files = false;        ///< RLIMIT_FSIZE 0
  bool no_processes = true;         ///< RLIMIT_NPROC 0
  std::uint64_t cpu_seconds = 0;    ///< 0: as it is
};
[[nodiscard]] base::Status limit_resources(const Limits& limits);

}  // namespace qpop::priv
