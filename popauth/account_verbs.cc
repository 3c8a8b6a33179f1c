// SPDX-License-Identifier: MIT
// Disable, enable, check. Runs as: the caller; with the owner's rights inside database calls only.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "common/authdb/password.h"
#include "common/base/text.h"
#include "popauth/audit.h"
#include "popauth/database_access.h"
#include "popauth/messages.h"
#include "popauth/safe_start.h"
#include "popauth/terminal.h"
#include "popauth/verbs.h"

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Secret;

namespace {

Result<Secret> ask_password(const Command& command) {
  if (command.from_stdin) return read_secret_line(STDIN_FILENO);
  auto terminal = Terminal::open();
  if (!terminal) return terminal.error();
  return terminal->ask("Password:");
}

ExitCode judge(const Look& look, const std::string& user, const Secret& password) {
  if (!look.account) return fail(look.account.error());
  const auto* account = *look.account ? &**look.account : nullptr;
  const bool right = authdb::matches_password(look.meta, user, account, password);
  if (account == nullptr) return fail(no_entry(base::escape_untrusted(user, 80)));
  if (!right) return fail("Sorry, password entered incorrectly");
  if (account->disabled) return fail(fmt::format("the password is right, but the entry of \"{}\" is disabled", user));
  std::fputs(fmt::format("the password of \"{}\" is right\n", user).c_str(), stdout);
  return ExitCode::ok;
}

}  // namespace

ExitCode switch_account(const Identity& identity, const Command& command, const std::string& path) {
  const bool disable = command.verb == Verb::disable;
  const auto shown = base::escape_untrusted(command.user, 80);
  const std::string_view verb = disable ? "disable" : "enable";
  const auto report = [&](const Error& error, std::string_view result) {
    audit(identity, {.text = fmt::format("user \"{}\" did not {}", identity.who(), verb),
                     .verb = verb,
                     .target = command.user,
                     .result = result});
    return fail(error);
  };
  if (!identity.is_administrator()) return report(Error{ErrorKind::denied, std::string{kOnlyAdministrator}}, "refused");
  if (auto ok = require_limits(); !ok) return fail(ok.error(), ExitCode::unsafe);
  if (auto ok = set_disabled(identity, path, command.user, disable); !ok) return report(ok.error(), "failed");
  say(fmt::format("{} user \"{}\"", disable ? "Disabling" : "Enabling", shown));
  audit(identity, {.text = fmt::format("user \"{}\" {}d by \"{}\"", shown, verb, identity.who()),
                   .verb = verb,
                   .target = command.user});
  return ExitCode::ok;
}

ExitCode check_password(const Identity& identity, Command& command, const std::string& path) {
  const auto user = command.user.empty() ? identity.name() : command.user;
  const bool own = !identity.name().empty() && user == identity.name();
  if (!identity.is_administrator() && (!own || command.from_stdin)) return fail(kOnlyAdministrator);
  auto look = look_up(identity, path, user);
  if (!look) return fail(look.error());
  auto password = ask_password(command);
  if (!password) return fail(password.error());
  if (!identity.is_administrator()) {
    if (auto ok = charge_guess(identity, path); !ok) return fail(ok.error());
    wait_before_guess();
  }
  const auto code = judge(*look, user, *password);
  if (code == ExitCode::ok) forgive_guess(identity, path);
  return code;
}

}  // namespace qpop::popauth
