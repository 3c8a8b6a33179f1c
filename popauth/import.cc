// SPDX-License-Identifier: MIT
// -import: read and hash with the caller's rights, then one transaction with the owner's. Runs as: root, or the owner
// of the database.
//
// 1. The file is read and every entry judged: usable, already there, or not usable and why. 2. Passwords are hashed and
// sealed, which takes milliseconds each; interrupted here, nothing has changed. 3. All new entries are stored in one
// transaction: all of them or none.
#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <map>
#include <set>

#include "common/authdb/file_rules.h"
#include "common/authdb/password.h"
#include "common/base/io.h"
#include "common/base/text.h"
#include "common/gdbm/records.h"
#include "popauth/audit.h"
#include "popauth/caller_file.h"
#include "popauth/crypt_trial.h"
#include "popauth/database_access.h"
#include "popauth/import_formats.h"
#include "popauth/messages.h"
#include "popauth/safe_start.h"
#include "popauth/trace.h"
#include "popauth/verbs.h"

namespace qpop::popauth {

using authdb::Account;
using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxFileOctets = 512U << 20U;
constexpr std::size_t kMaxComplaints = 1000;

struct Input {
  Format format = Format::text;
  Entries entries;
};

Result<Input> read_records(int fd, Format format) {
  auto pairs = gdbm::read_records(fd);
  if (!pairs) return pairs.error();
  Input input{.format = format, .entries = {}};
  for (auto& [key, value] : *pairs) {
    input.entries.push_back(parse_record(key, value, input.entries.size() + 1));
    base::wipe(value.data(), value.size());
  }
  return input;
}

std::string owner_name(int fd) {
  struct stat status {};
  const passwd* entry = ::fstat(fd, &status) == 0 ? ::getpwuid(status.st_uid) : nullptr;
  return entry != nullptr ? entry->pw_name : "";
}

Result<Input> read_input(const Command& command) {
  const auto wanted = format_of_name(command.format);
  if (!command.format.empty() && !wanted)
    return Error{ErrorKind::denied, "-format: qpopper, mailutils, solid-pop3d, dovecot or text"};
  auto fd = gdbm::open_database(command.file, open_input);
  if (!fd) return fd.error();
  std::array<char, 16> head{};
  const ssize_t got = ::pread(fd->get(), head.data(), head.size(), 0);
  const std::string_view start{head.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
  if (authdb::is_gdbm(start)) return read_records(fd->get(), wanted.value_or(Format::qpopper));
  if (gdbm::is_berkeley_db(start)) {
    return Error{ErrorKind::unsupported, "a Berkeley DB file; dump it with its own tools as lines of name:password"};
  }
  if (wanted == Format::qpopper) return Error{ErrorKind::malformed, "not a gdbm file"};
  auto text = base::read_whole(fd->get(), kMaxFileOctets);
  if (!text) return text.error();
  std::string& lines = *text;
  if (!wanted && guess_text_format(lines) == Format::text) {
    if (const auto doubt = doubt_about_text(lines); !doubt.empty()) {
      base::wipe(lines.data(), lines.size());
      return Error{ErrorKind::malformed, doubt};
    }
  }
  Input input{.format = wanted.value_or(guess_text_format(lines)), .entries = {}};
  input.entries = parse_text(input.format, lines, owner_name(fd->get()));
  base::wipe(lines.data(), lines.size());
  return input;
}

class Import {
 public:
  Import(const Identity& identity, const Command& command, const std::string& path)
      : identity_(identity), command_(command), path_(path) {}

  ExitCode run() {
    if (!identity_.is_administrator())
      return report(Error{ErrorKind::denied, std::string{kOnlyAdministrator}}, "refused");
    if (auto ok = require_limits(); !ok) return fail(ok.error(), ExitCode::unsafe);
    auto input = read_input(command_);
    if (!input) return report(input.error().at("import", base::escape_untrusted(command_.file, 200)));
    if (auto ok = judge(*input); !ok) return report(ok.error());
    say(fmt::format("{} entries in {} format: {} to import, {} already there, {} not usable", input->entries.size(),
                    name_of(input->format), usable_.size(), present_, unusable_));
    if (!command_.dry_run && !usable_.empty()) {
      if (auto ok = hash_all(); !ok) return report(ok.error());
      if (auto ok = store_all(); !ok) return report(ok.error());
    }
    return done(input->entries.size());
  }

 private:
  ExitCode report(const Error& error, std::string_view result = "failed") const {
    audit(identity_, {.text = fmt::format("user \"{}\" did not import", identity_.who()),
                      .verb = "import",
                      .target = path_,
                      .result = result});
    return fail(error);
  }

  void complain(const Entry& entry, std::string_view why) {
    if (complaints_++ < kMaxComplaints)
      say(fmt::format("{}: \"{}\": {}", entry.where, base::escape_untrusted(entry.name, 80), why));
    if (complaints_ == kMaxComplaints + 1) say("... and more of the kind");
  }

  Status judge(Input& input) {
    auto look = look_up(identity_, path_, "");
    if (!look) return look.error();
    meta_ = look->meta;
    const auto records = all_accounts(identity_, path_);
    if (!records) return records.error();
    std::set<std::string, std::less<>> there, seen;
    for (const auto& record : *records) there.insert(record.first);
    for (auto& entry : input.entries) {
      if (entry.problem.empty() && !entry.crypt.empty()) entry.problem = fault_of_crypt(entry.crypt);
      if (entry.problem.empty() && !seen.insert(entry.name).second)
        entry.problem = "named before; the first one counts";
      if (!entry.problem.empty()) {
        ++unusable_;
        complain(entry, entry.problem);
      } else if (there.contains(entry.name) && !command_.replace) {
        ++present_;
        complain(entry, "already there; give -replace to overwrite it");
      } else {
        usable_.push_back(&entry);
      }
    }
    return {};
  }

  /// Empty: the string works, at a bearable price. Tried once for each scheme and cost.
  std::string fault_of_crypt(const std::string& crypt) {
    if (crypt.starts_with(authdb::kCramMd5Scheme)) return {};  // every check of a password makes its cheap state anyway
    const auto part = cost_part(crypt);
    const auto known = costs_.find(part);
    if (known != costs_.end()) return known->second;
    auto dummy = try_crypt(crypt);
    if (dummy) dummy_crypt_ = *dummy;
    const auto fault = dummy ? std::string{} : dummy.error().message();
    return costs_.emplace(part, fault).first->second;
  }

  Status hash_all() {
    trace(fmt::format("hashing {} passwords", usable_.size()));
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    auto shown = std::chrono::steady_clock::now();
    for (const auto* entry : usable_) {
      auto account = make_account(*entry);
      if (!account) return account.error().at(entry->where);
      accounts_.push_back(std::move(*account));
      const auto now = std::chrono::steady_clock::now();
      if (!terminal || now - shown < std::chrono::milliseconds{500}) continue;
      shown = now;
      (void)std::fprintf(stderr, "\r%zu of %zu", accounts_.size(), usable_.size());
    }
    if (terminal) (void)std::fputs("\r                          \r", stderr);
    return {};
  }

  Result<Account> make_account(const Entry& entry) const {
    Account account;
    account.created = account.changed = ::time(nullptr);
    account.disabled = entry.disabled;
    account.scram = entry.scram;
    account.crypt = entry.crypt;
    if (entry.password.empty()) return account;
    account.scram = authdb::make_scram(entry.password, meta_.iterations);
    auto sealed = authdb::seal_apop(meta_, entry.name, entry.password);
    if (!sealed) return sealed.error();
    account.sealed_apop = std::move(*sealed);
    return account;
  }

  /// A new secret does not let in whom the administrator has shut out.
  Account replaced(const Account& before, std::size_t i) {
    Account account = accounts_[i];
    account.created = before.created;
    if (before.disabled && !account.disabled) {
      still_disabled_.push_back(usable_[i]);
      account.disabled = true;
    }
    if (!before.sealed_apop.empty() && account.sealed_apop.empty()) ++lost_apop_;
    return account;
  }

  Status store_all() {
    const TimeBound bound;
    auto database = open_for_good(identity_, path_);
    if (!database) return database.error();
    if (database->meta().public_key != meta_.public_key) {
      return Error{ErrorKind::changed, "the database was initialised meanwhile; nothing changed"};
    }
    const authdb::Database::Batch batch = [&](const auto& update) -> Status {
      still_disabled_.clear();  // a batch may run again
      lost_apop_ = 0;
      for (std::size_t i = 0; i < usable_.size(); ++i) {
        auto ok = update(usable_[i]->name, [&](const auto& before) -> Result<Account> {
          const bool exists = before && *before;
          if (exists && !command_.replace) return **before;  // made meanwhile
          return exists ? replaced(**before, i) : Result<Account>{accounts_[i]};
        });
        if (!ok) return ok;
      }
      return {};
    };
    return database->update_all(batch, dummy_crypt_);
  }

  ExitCode done(std::size_t all) {
    if (command_.dry_run) {
      say("Dry run: nothing was changed");
    } else {
      for (const auto* entry : still_disabled_) complain(*entry, "stays disabled");
      if (lost_apop_ != 0) {
        say(fmt::format("{} accounts lost their APOP secret: APOP and CRAM-MD5 fail for them until a password is set",
                        lost_apop_));
      }
      say(fmt::format("{} entries imported", usable_.size()));
      audit(identity_, {.text = fmt::format("user \"{}\" imported {} of {} entries from \"{}\"", identity_.who(),
                                            usable_.size(), all, base::escape_untrusted(command_.file, 80)),
                        .verb = "import",
                        .target = path_});
    }
    return unusable_ == 0 ? ExitCode::ok : ExitCode::partly;
  }

  const Identity& identity_;
  const Command& command_;
  const std::string& path_;
  authdb::Meta meta_;
  std::vector<const Entry*> usable_;
  std::vector<Account> accounts_;  // one for each of usable_
  std::map<std::string, std::string, std::less<>> costs_;
  std::string dummy_crypt_;
  std::vector<const Entry*> still_disabled_;
  std::size_t lost_apop_ = 0;
  std::size_t present_ = 0, unusable_ = 0, complaints_ = 0;
};

}  // namespace

ExitCode import_accounts(const Identity& identity, const Command& command, const std::string& path) {
  return Import{identity, command, path}.run();
}

}  // namespace qpop::popauth
