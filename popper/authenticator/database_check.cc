// SPDX-License-Identifier: MIT
// A look at the database in a child.
// Runs as: pop, owner of the database; the parent only reads the answer.
#include "popper/authenticator/database_check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "common/authdb/database.h"
#include "common/authdb/key_file.h"
#include "common/base/text.h"
#include "common/digest/seal.h"
#include "common/priv/child_call.h"
#include "popper/authenticator/rights.h"

namespace qpop::authenticator {

using base::Error;
using base::ErrorKind;
using base::Result;

namespace {

constexpr unsigned kMostSeconds = 30;
constexpr std::size_t kMostOctets = 1000;

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

}  // namespace

Result<std::string> check_database(const DatabaseToCheck& what) {
  auto answer = priv::call_in_child(kMostOctets, [&](int out) -> Result<std::string> {
    (void)::signal(SIGALRM, SIG_DFL);
    (void)::alarm(kMostSeconds);
    if (auto given_up = give_up_rights(std::array{out, what.key}, what.path, what.uid, what.gid); !given_up) return given_up.error();
    return look(what);
  });
  if (!answer) return Error{answer.error().kind(), base::escape_untrusted(answer.error().message(), kMostOctets)};
  return base::escape_untrusted(*answer, kMostOctets);
}

}  // namespace qpop::authenticator
