// SPDX-License-Identifier: MIT
// A look at the database in a child.
// Runs as: pop, owner of the database; the parent only reads the answer.
#include "popper/authenticator/database_check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
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
constexpr std::size_t kMostOfNames = 256UL * 1024 * 1024;

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

/// Each with a NUL behind it.
Result<std::string> collect_names(const DatabaseToCheck& what) {
  auto database = authdb::Database::open(what.path, what.uid, authdb::Access::read_only);
  if (!database) return database.error();
  std::string names;
  auto listed = database->list([&](std::string_view name, const Result<authdb::Account>&) {
    names.append(name).push_back('\0');
    return true;
  });
  if (!listed) return listed.error();
  return names;
}

Result<std::string> in_child(const DatabaseToCheck& what, std::size_t most, Result<std::string> (*work)(const DatabaseToCheck&)) {
  auto answer = priv::call_in_child(most, [&](int out) -> Result<std::string> {
    (void)::signal(SIGALRM, SIG_DFL);
    (void)::alarm(kMostSeconds);
    if (auto given_up = give_up_rights(std::array{out, what.key}, what.path, what.uid, what.gid); !given_up) return given_up.error();
    return work(what);
  });
  if (!answer) return Error{answer.error().kind(), base::escape_untrusted(answer.error().message(), kMostOctets)};
  return answer;
}

}  // namespace

Result<std::string> check_database(const DatabaseToCheck& what) {
  auto answer = in_child(what, kMostOctets, look);
  if (!answer) return answer.error();
  return base::escape_untrusted(*answer, kMostOctets);
}

Result<std::set<std::string, std::less<>>> list_names(const DatabaseToCheck& what) {
  const auto answer = in_child(what, kMostOfNames, collect_names);
  if (!answer) return answer.error();
  std::set<std::string, std::less<>> names;
  for (std::string_view rest{*answer}; !rest.empty();) {
    const auto end = std::min(rest.find('\0'), rest.size());
    names.emplace(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return names;
}

}  // namespace qpop::authenticator
