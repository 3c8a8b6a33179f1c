// SPDX-License-Identifier: MIT
// A look at the database in a child.
// Runs as: pop, owner of the database; the parent only reads the answer.
#include "popper/authenticator/database_check.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <exception>

#include "common/authdb/database.h"
#include "common/authdb/key_file.h"
#include "common/base/text.h"
#include "common/base/unique_fd.h"
#include "common/digest/seal.h"
#include "common/priv/drop.h"
#include "popper/authenticator/rights.h"

namespace qpop::authenticator {

using base::Error;
using base::ErrorKind;
using base::Result;

namespace {

constexpr unsigned kMostSeconds = 30;
constexpr std::size_t kMostOctets = 1000;
constexpr char kFine = '+';  ///< first octet of an answer; a warning may follow
constexpr char kFault = '-';

Result<std::string> look(const DatabaseToCheck& what) {
  auto database = authdb::Database::open(what.path, what.uid, authdb::Access::read_only);
  if (!database) return database.error();
  std::size_t damaged = 0;
  auto listed = database->list([&](std::string_view, const Result<authdb::Account>& account) {
    if (!account) ++damaged;
    return true;
  });
  if (!listed) return listed.error();
  if (damaged != 0) return fmt::format("{} accounts are damaged; popauth -list ALL names them", damaged);
  if (what.key < 0) return std::string{};
  auto key = authdb::read_key(what.key);
  if (!key) return fmt::format("key file {}: {}; APOP is not offered", authdb::key_path_of(what.path), key.error().message());
  const auto mine = digest::public_key_of(*key);
  if (mine && *mine == database->meta().public_key) return std::string{};
  return fmt::format("key file {} does not belong to this database; APOP and CRAM-MD5 fail", authdb::key_path_of(what.path));
}

[[noreturn]] void child(const DatabaseToCheck& what, int out) {
  (void)::signal(SIGALRM, SIG_DFL);
  (void)::alarm(kMostSeconds);
  Result<std::string> result = Error{ErrorKind::io, "no answer"};
  try {
    const std::array<int, 2> keep{out, what.key};
    const auto given_up = give_up_rights(keep, what.path, what.uid, what.gid);
    result = given_up ? look(what) : given_up.error();
  } catch (const std::exception& error) {
    result = Error{ErrorKind::io, error.what()};
  }
  const auto text = result ? kFine + *result : kFault + result.error().message();
  const auto size = std::min(text.size(), kMostOctets);
  ::_exit(::write(out, text.data(), size) == static_cast<ssize_t>(size) ? 0 : 1);
}

}  // namespace

Result<std::string> check_database(const DatabaseToCheck& what) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::from_errno(errno, "pipe");
  const base::UniqueFd in{ends[0]};
  base::UniqueFd out{ends[1]};
  const pid_t pid = ::fork();
  if (pid < 0) return Error::from_errno(errno, "fork");
  if (pid == 0) child(what, out.get());
  out.reset();
  std::array<char, kMostOctets> buffer{};
  ssize_t got = 0;
  while ((got = ::read(in.get(), buffer.data(), buffer.size())) < 0 && errno == EINTR) continue;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (got <= 0) return Error{ErrorKind::io, fmt::format("{}: the process that looked at it died or took longer than {} s", what.path, kMostSeconds)};
  const auto text = base::escape_untrusted({buffer.data() + 1, static_cast<std::size_t>(got) - 1}, kMostOctets);
  if (buffer[0] != kFine) return Error{ErrorKind::malformed, text};
  return text;
}

}  // namespace qpop::authenticator
