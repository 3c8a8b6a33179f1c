// SPDX-License-Identifier: MIT
// popper --import-bulldb: the numbers of the last bulletins that a Qpopper kept in a database of its own, so that nobody gets again what he had.
//
// Runs as: root, or the user who started it; the database is parsed by a child without rights, each number written by a child that is its user.
// Source: the original's bulletin database: gdbm, or ndbm on top of it; name NUL -> a native long.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "popper/maildrop/maildrop.h"

namespace qpop::takeover {

struct UserNumber {
  std::string name;  ///< not empty, without NUL; may hold anything else
  std::uint64_t number = 0;
};

/// One record. Errors: malformed: no name, or a value that is no number of a bulletin.
[[nodiscard]] base::Result<UserNumber> parse_bulletin_record(std::string_view key, std::string_view value);

struct BulletinTask {
  std::string path;  ///< of the file, or without its .pag
  uid_t uid = 0;     ///< who parses it
  gid_t gid = 0;
  /// The user, without channels. Errors: denied: there is no such user, or no mail for him; all others are faults of this machine.
  std::function<base::Result<maildrop::Job>(const std::string& name)> find;
};

/// Tells on standard output how many numbers were taken over; one line for each other user goes to the log. Returns the exit code: 0, also
/// when users are unknown, or kFailed.
int import_bulletin_numbers(const BulletinTask& task);

}  // namespace qpop::takeover
