// SPDX-License-Identifier: MIT
// Initialise, delete, list. Runs as: the caller; with the owner's rights inside database calls only.
#include "popauth/verbs.h"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "common/authdb/database.h"
#include "common/authdb/file_rules.h"
#include "common/authdb/user_name.h"
#include "common/base/text.h"
#include "common/config/reader.h"
#include "popauth/audit.h"
#include "popauth/database_access.h"
#include "popauth/messages.h"
#include "popauth/safe_start.h"

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;
using base::Result;

namespace {

enum class Place : std::uint8_t { free, taken, unusable };

/// An empty file counts as free: packages install one.
Place look_at(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return errno == ENOENT ? Place::free : Place::unusable;
  if (!S_ISREG(status.st_mode)) return Place::unusable;
  return status.st_size == 0 ? Place::free : Place::taken;
}

/// Reads the answer octet by octet, so that nothing behind its line is swallowed; only a first 'y' counts.
bool confirmed() {
  std::fputs("Really initialize POP authentication DB? ", stderr);
  char first = '\0';
  char c = '\0';
  for (int i = 0; i < 256 && ::read(STDIN_FILENO, &c, 1) == 1 && c != '\n'; ++i) {
    if (i == 0) first = c;
  }
  return first == 'y' || first == 'Y';
}

std::string line_of(std::string_view name, const Result<authdb::Account>& account) {
  if (!account) return fmt::format("{:<16}: damaged", name);
  const auto kinds =
      fmt::format("{}{}{}{}", account->sealed_apop.empty() ? "" : " APOP", account->scram ? " SCRAM" : "",
                  account->crypt.empty() ? "" : " crypt", account->disabled ? " disabled" : "");
  return fmt::format("{:<16}:{}", name, kinds);
}

/// A script that reads a list cut short would take it for the whole.
ExitCode print(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return ExitCode::ok;
  return fail(Error::from_errno(errno, "write").at("standard output"));
}

ExitCode list_all(const Identity& identity, const std::string& path) {
  const auto records = all_accounts(identity, path);
  if (!records) return fail(records.error());
  std::string text;
  for (const auto& [name, account] : *records) text += line_of(name, account) + "\n";
  return print(text);
}

}  // namespace

Result<std::string> database_path(const Identity& identity, const Command& command) {
  if (command.database.empty() && command.configuration.empty()) return std::string{authdb::kDefaultPath};
  // A file that the caller names is never opened with lent rights.
  if (identity.is_lent()) return Error{ErrorKind::denied, "-db and -f: " + std::string{kOnlyRoot}};
  if (!command.database.empty()) return command.database;
  config::Settings settings;
  for (const auto& problem : config::read_file(command.configuration, settings)) {
    if (!problem.warning) return Error{ErrorKind::malformed, problem.text};
  }
  return settings.text(config::Opt::auth_db);
}

ExitCode initialise(const Identity& identity, const Command& command, const std::string& path) {
  if (identity.is_lent()) return fail(kOnlyRoot);
  const auto place = look_at(path);
  if (place == Place::unusable)
    return fail(fmt::format("POP authentication DB {} cannot be replaced: not a regular file", path));
  if (place == Place::taken && command.safe) {
    std::fputs(fmt::format("POP authentication DB not initialized (exists): {}\n", path).c_str(), stdout);
    return ExitCode::ok;
  }
  if (place == Place::taken && authdb::is_gdbm_file(path)) {
    say(fmt::format("Warning: {} holds the secrets of Qpopper 4; move it away and import it afterwards", path));
  }
  if (place == Place::taken && !confirmed()) return ExitCode::failed;
  if (auto ok = require_limits(); !ok) return fail(ok.error(), ExitCode::unsafe);
  auto owner = identity.owner();
  if (!owner) return fail(owner.error());
  const passwd* entry = ::getpwuid(*owner);
  const gid_t group = entry != nullptr ? entry->pw_gid : ::getgid();
  const AuditEntry failed{.text = fmt::format("{} did not initialize db", identity.who()),
                          .verb = "init",
                          .target = path,
                          .result = "failed"};
  const TimeBound bound;
  const auto iterations = command.iterations != 0 ? command.iterations : authdb::kDefaultIterations;
  if (auto ok = authdb::initialise({.path = path, .owner = *owner, .group = group, .iterations = iterations}); !ok) {
    audit(identity, failed);
    return fail(ok.error());
  }
  const auto what = place == Place::taken ? "removed existing db and initialized db" : "initialized db";
  audit(identity, {.text = fmt::format("user \"{}\" {} \"{}\"", identity.who(), what, base::escape_untrusted(path, 80)),
                   .verb = "init",
                   .target = path});
  return ExitCode::ok;
}

ExitCode remove_account(const Identity& identity, const Command& command, const std::string& path) {
  const auto shown = base::escape_untrusted(command.user, 80);
  const auto refuse = [&](const Error& error, std::string_view result) {
    audit(identity, {.text = fmt::format("user \"{}\" did not delete", identity.who()),
                     .verb = "delete",
                     .target = command.user,
                     .result = result});
    return fail(error);
  };
  if (!identity.is_administrator()) return refuse(Error{ErrorKind::denied, std::string{kOnlyAdministrator}}, "refused");
  if (auto ok = require_limits(); !ok) return fail(ok.error(), ExitCode::unsafe);
  auto removed = remove(identity, path, command.user);
  if (!removed) return refuse(removed.error(), "failed");
  if (!*removed) return refuse(Error{ErrorKind::not_found, no_entry(shown)}, "failed");
  say(fmt::format("Warning: deleting user \"{}\"", shown));
  audit(identity, {.text = fmt::format("user \"{}\" deleted by \"{}\" from db \"{}\"", shown, identity.who(),
                                       base::escape_untrusted(path, 80)),
                   .verb = "delete",
                   .target = command.user});
  return ExitCode::ok;
}

ExitCode list_accounts(const Identity& identity, const Command& command, const std::string& path) {
  const auto& user = command.user.empty() ? identity.name() : command.user;
  const bool own = !identity.name().empty() && user == identity.name();
  if (!own && !identity.is_administrator()) return fail(kOnlyAdministrator);
  if (user == "ALL") return list_all(identity, path);
  auto look = look_up(identity, path, user);
  if (!look) return fail(look.error());
  if (!look->account) return fail(look->account.error());
  if (!*look->account) return fail(no_entry(base::escape_untrusted(user, 80)));
  return print(line_of(user, **look->account) + "\n");
}

}  // namespace qpop::popauth
