// SPDX-License-Identifier: MIT
// Setting a password: look, ask, hash, and only then take the owner's rights for one write.
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include "common/authdb/password.h"
#include "common/authdb/user_name.h"
#include "popauth/audit.h"
#include "popauth/database_access.h"
#include "popauth/messages.h"
#include "popauth/quality.h"
#include "popauth/safe_start.h"
#include "popauth/terminal.h"
#include "popauth/verbs.h"

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Secret;

namespace {

// As the original: the new "password" that takes the APOP secret away.
constexpr std::string_view kNoApop = "*";
class PasswordChange {
 public:
  PasswordChange(const Identity& identity, Command& command, const std::string& path)
      : identity_(identity),
        command_(command),
        path_(path),
        user_(command.user.empty() ? identity.name() : command.user),
        administrator_(identity.is_administrator() && (!command.user.empty() || identity.is_root())) {}

  ExitCode run() {
    if (auto refusal = check_right(); !refusal) return report(refusal.error(), "refused");
    if (auto ok = require_limits(); !ok) return fail(ok.error(), ExitCode::unsafe);
    auto look = look_up(identity_, path_, user_);
    if (!look) return report(look.error(), "failed");
    if (!look->account && !administrator_) return report(look->account.error(), "failed");
    existed_ = look->account && *look->account;
    warn_about_user();
    say(fmt::format("{} only {} password for {}.", existed_ ? "Changing" : "Adding", kind(), user_));
    if (auto ok = prove_old(*look); !ok) return report(ok.error(), "refused");
    auto password = new_password();
    if (!password) return report(password.error(), "unchanged");
    return write(*look, *password);
  }

 private:
  bool is_scram() const { return command_.mode == Mode::scram; }
  std::string_view kind() const { return is_scram() ? "SCRAM" : "APOP"; }
  /// The original's words: scramauth asks for a pass phrase.
  std::string prompt(std::string_view which) const {
    return fmt::format("{}{}:", which, is_scram() ? "pass phrase" : "password");
  }

  base::Status check_right() const {
    const bool own = command_.user.empty() || command_.user == identity_.name();
    if (user_.empty()) return Error{ErrorKind::denied, fmt::format("uid {} has no login name", identity_.real_uid())};
    const bool unasked = command_.has_password || command_.from_stdin;
    if (!identity_.is_administrator() && (!own || unasked))
      return Error{ErrorKind::denied, std::string{kOnlyAdministrator}};
    if (unasked && command_.user.empty() && !identity_.is_root())
      return Error{ErrorKind::denied, "-stdin needs -user NAME"};
    if (authdb::is_acceptable_user_name(user_)) return {};
    return Error{
        ErrorKind::denied,
        fmt::format("\"{}\" cannot be a user name here: 1 to 64 of letters, digits and . _ @ + -, not starting "
                    "with . or -, not ending in .lock",
                    base::escape_untrusted(user_, 80))};
  }

  void warn_about_user() const {
    if (command_.has_password) say("Warning: others can see a password on the command line; use -stdin");
    if (!administrator_ || command_.user.empty() || ::getpwnam(user_.c_str()) != nullptr) return;
    say(fmt::format("Warning: \"{}\" is not a user of this system; such an account needs mail-user in qpopper.config",
                    user_));
  }

  base::Status prove_old(const Look& look) {
    if (administrator_ || !existed_) return {};
    auto terminal = Terminal::open();
    if (!terminal) return terminal.error();
    auto typed = terminal->ask(prompt("Old "));
    if (!typed) return typed.error();
    const auto& account = **look.account;
    if (auto ok = charge_guess(identity_, path_); !ok) return ok;
    wait_before_guess();
    if (!authdb::matches_password(look.meta, user_, &account, *typed)) return Error{ErrorKind::denied, "Sorry, password entered incorrectly"};
    old_ = std::move(*typed);
    proven_ = account;
    return {};
  }

  Result<Secret> new_password() {
    auto password = command_.has_password ? Result<Secret>{std::move(command_.password)}
                    : command_.from_stdin ? read_secret_line(STDIN_FILENO)
                                          : typed_twice();
    if (password && is_unchanged(*password)) return Error{ErrorKind::denied, "Password unchanged."};
    return password;
  }

  bool is_unchanged(const Secret& password) const {
    return password.empty() || (proven_ && base::equal_constant_time(old_.view(), password.view()));
  }

  Result<Secret> typed_twice() const {
    auto terminal = Terminal::open();
    if (!terminal) return terminal.error();
    auto first = terminal->ask(prompt("New "));
    if (!first || is_unchanged(*first) || first->view() == kNoApop) return first;
    if (const auto advice = advice_on(first->view()); !identity_.is_administrator() && !advice.empty()) {
      say(advice);
      first = terminal->ask(prompt("New "));
      if (!first || is_unchanged(*first)) return first;
    }
    auto second = terminal->ask(prompt("Retype new "));
    if (!second) return second;
    if (!base::equal_constant_time(first->view(), second->view())) {
      return Error{ErrorKind::denied, "Mismatch -- password unchanged."};
    }
    return first;
  }

  ExitCode write(const Look& look, const Secret& password) {
    NewSecret secret{.scram = {}, .sealed_apop = {}, .keep_apop = command_.only && is_scram(), .sealed_with = look.meta};
    if (password.view() != kNoApop) {
      secret.scram = authdb::make_scram(password, command_.iterations != 0 ? command_.iterations : look.meta.iterations);
    }
    if (password.view() != kNoApop && !is_scram()) {
      auto sealed = authdb::seal_apop(look.meta, user_, password);
      if (!sealed) return report(sealed.error(), "failed");
      secret.sealed_apop = std::move(*sealed);
    }
    if (auto ok = store(identity_, path_, user_, secret, proven_); !ok) return report(ok.error(), "failed");
    audit(identity_, {.text = fmt::format("{} {} only {} password for {}", identity_.who(),
                                          existed_ ? "changed" : "added", kind(), user_),
                      .verb = "set",
                      .target = user_});
    return ExitCode::ok;
  }

  ExitCode report(const Error& error, std::string_view result) const {
    audit(identity_, {.text = fmt::format("{} did not set the {} password", identity_.who(), kind()),
                      .verb = "set",
                      .target = user_,
                      .result = result});
    return fail(error);
  }

  const Identity& identity_;
  Command& command_;
  const std::string& path_;
  std::string user_;
  bool administrator_;
  bool existed_ = false;
  Secret old_;
  std::optional<authdb::Account> proven_;
};

}  // namespace

ExitCode set_password(const Identity& identity, Command& command, const std::string& path) {
  return PasswordChange{identity, command, path}.run();
}

}  // namespace qpop::popauth
