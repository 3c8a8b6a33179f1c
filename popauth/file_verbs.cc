// SPDX-License-Identifier: MIT
// Export, backup, restore, compact. Runs as: root, or the owner of the database; nobody else gets past the first line.
#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "common/authdb/workshop.h"
#include "common/base/text.h"
#include "popauth/audit.h"
#include "popauth/caller_file.h"
#include "popauth/database_access.h"
#include "popauth/messages.h"
#include "popauth/safe_start.h"
#include "popauth/trace.h"
#include "popauth/verbs.h"

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using digest::base64_encode;
using digest::view_of;

namespace {

/// The audit line of one verb, and the exit code.
class Outcome {
 public:
  Outcome(const Identity& identity, std::string_view verb, const std::string& path)
      : identity_(identity), verb_(verb), path_(path) {}
  ExitCode failed(const Error& error, std::string_view result = "failed") const {
    audit(identity_, {.text = fmt::format("user \"{}\" did not {} db", identity_.who(), verb_),
                      .verb = verb_,
                      .target = path_,
                      .result = result});
    return fail(error);
  }
  ExitCode refused(std::string_view text) const {
    return failed(Error{ErrorKind::denied, std::string{text}}, "refused");
  }
  ExitCode fine(std::string_view what) const {
    audit(identity_, {.text = fmt::format("user \"{}\" {}", identity_.who(), what), .verb = verb_, .target = path_});
    return ExitCode::ok;
  }

 private:
  const Identity& identity_;
  std::string_view verb_;
  const std::string& path_;
};

Result<authdb::Place> place_of(const Identity& identity, const std::string& path) {
  auto owner = identity.owner();
  if (!owner) return owner.error();
  const passwd* entry = ::getpwuid(*owner);
  return authdb::Place{.path = path, .owner = *owner, .group = entry != nullptr ? entry->pw_gid : ::getgid()};
}

/// What is there, without anything a password could be guessed from.
std::string plain_line(std::string_view name, const authdb::Account& account) {
  return fmt::format("{}:{}{}{}{}:{}:{}\n", name, account.sealed_apop.empty() ? "" : "APOP,",
                     account.scram ? "SCRAM," : "", account.crypt.empty() ? "" : "crypt,",
                     account.disabled ? "disabled" : "enabled", account.created, account.changed);
}

/// A line of Dovecot's passwd-file, which -import reads back.
std::string verifier_line(std::string_view name, const authdb::Account& account) {
  const bool named = account.crypt.starts_with(authdb::kCramMd5Scheme);
  std::string scheme = (named ? "" : "{CRYPT}") + account.crypt;
  if (account.scram) {
    const auto& scram = *account.scram;
    scheme = fmt::format("{{SCRAM-SHA-256}}{},{},{},{}", scram.iterations, base64_encode(view_of(scram.salt)),
                         base64_encode(view_of(scram.stored_key)), base64_encode(view_of(scram.server_key)));
  }
  return fmt::format("{}:{}::::::{}\n", name, scheme, account.disabled ? "nologin" : "");
}

std::string export_text(const Records& records, bool with_verifiers) {
  std::string text = with_verifiers
                         ? "# POP accounts with verifiers: whoever has this file can guess passwords\n"
                         : "# POP accounts: name:kinds and state:created:changed (seconds since 1970); no secrets\n";
  for (const auto& [name, account] : records) {
    if (!account) {
      say(fmt::format("Warning: the entry of \"{}\" is damaged and left out", name));
      continue;
    }
    text += with_verifiers ? verifier_line(name, *account) : plain_line(name, *account);
  }
  return text;
}

/// All records as octets, read with the owner's rights.
Result<authdb::RawRecords> raw_records(const Identity& identity, const std::string& path) {
  auto owner = identity.owner();
  if (!owner) return owner.error();
  const TimeBound bound;
  auto rights = DatabaseRights::take(identity);
  if (!rights) return rights.error();
  auto database = authdb::Database::open(path, *owner, authdb::Access::read_only);
  if (!database) return database.error();
  return database->raw_records();
}

/// Built beside `path` and given its name when it is whole; never over an existing file.
Status write_backup(const std::string& path, const authdb::RawRecords& records) {
  auto workshop = authdb::Workshop::make(path);
  if (!workshop) return workshop.error();
  if (auto ok = authdb::write_database(workshop->database(), records); !ok) return ok;
  if (::renameat2(AT_FDCWD, workshop->database().c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0) {
    return Error::from_errno(errno, "rename");
  }
  return authdb::sync_folder_of(path);
}

}  // namespace

ExitCode export_accounts(const Identity& identity, const Command& command, const std::string& path) {
  const Outcome outcome{identity, "export", path};
  if (!identity.is_administrator()) return outcome.refused(kOnlyAdministrator);
  auto out = create_output(command.file);
  if (!out) return outcome.failed(out.error());
  const auto shown = command.file == "-" ? "standard output" : base::escape_untrusted(command.file, 200);
  const auto give_up = [&](const Error& error) {
    if (command.file != "-") ::unlink(command.file.c_str());
    return outcome.failed(error);
  };
  const auto records = all_accounts(identity, path);
  if (!records) return give_up(records.error());
  if (command.with_verifiers) {
    say("Warning: with this file passwords can be guessed offline; keep it like the database, and remove it after use");
  }
  auto text = export_text(*records, command.with_verifiers);
  auto written = write_and_close(std::move(*out), text);
  base::wipe(text.data(), text.size());
  if (!written) return give_up(written.error().at("export", shown));
  return outcome.fine(command.with_verifiers ? "exported db with verifiers" : "exported db");
}

ExitCode back_up(const Identity& identity, const Command& command, const std::string& path) {
  const Outcome outcome{identity, "backup", path};
  if (!identity.is_administrator()) return outcome.refused(kOnlyAdministrator);
  if (auto ok = require_limits(); !ok) return fail(ok.error(), ExitCode::unsafe);
  const auto shown = base::escape_untrusted(command.file, 200);
  auto records = raw_records(identity, path);
  if (!records) return outcome.failed(records.error());
  trace(fmt::format("writing {} records to {}", records->size(), shown));
  if (auto ok = write_backup(command.file, *records); !ok) return outcome.failed(ok.error().at("backup", shown));
  say(fmt::format("The backup holds no key; keep a copy of {}.key in another place.", path));
  return outcome.fine("backed up db");
}

ExitCode restore_database(const Identity& identity, const Command& command, const std::string& path) {
  const Outcome outcome{identity, "restore", path};
  if (identity.is_lent()) return outcome.refused(kOnlyRoot);
  if (auto ok = require_limits(); !ok) return fail(ok.error(), ExitCode::unsafe);
  auto place = place_of(identity, path);
  if (!place) return outcome.failed(place.error());
  if (command.file == "-") return outcome.failed(Error{ErrorKind::denied, "-restore needs a file"});
  auto from = open_input(command.file);
  if (!from) return outcome.failed(from.error());
  const TimeBound bound;
  auto restored = authdb::restore(*place, from->get());
  if (!restored) return outcome.failed(restored.error());
  say(fmt::format("{} entries restored", restored->accounts));
  if (!restored->key_fits) {
    say(
        fmt::format("Warning: {}.key does not belong to this backup: APOP and CRAM-MD5 fail until the key file of that "
                    "time is put there and the server is restarted, or the passwords are set again",
                    path));
  }
  return outcome.fine("restored db");
}

ExitCode compact_database(const Identity& identity, const Command&, const std::string& path) {
  const Outcome outcome{identity, "compact", path};
  if (identity.is_lent()) return outcome.refused(kOnlyRoot);
  if (auto ok = require_limits(); !ok) return fail(ok.error(), ExitCode::unsafe);
  auto place = place_of(identity, path);
  if (!place) return outcome.failed(place.error());
  const TimeBound bound;
  const auto sizes = authdb::compact(*place);
  if (!sizes) return outcome.failed(sizes.error());
  say(fmt::format("{} octets before, {} after", sizes->before, sizes->after));
  return outcome.fine("compacted db");
}

}  // namespace qpop::popauth
