// SPDX-License-Identifier: MIT
// The command line of popauth. Runs as: the caller, with the owner's uid saved.
#include "popauth/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>

#include "common/authdb/account.h"
#include "common/base/text.h"

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;
using base::Result;

namespace {

// Far above any honest use: a dozen words, the longest a path.
constexpr int kMaxArguments = 16;
constexpr std::size_t kMaxArgumentOctets = 1024;

Error wrong(std::string text) {
  return Error{ErrorKind::denied, std::move(text)};
}

/// What may follow an option, and where it goes.
enum class Takes : std::uint8_t { nothing, name, maybe_name, maybe_password, file, number };

struct Row {
  std::string_view name;
  Takes takes;
  std::optional<Verb> verb;             ///< chooses what is done
  bool Command::*flag = nullptr;        ///< is set
  std::string Command::*text = nullptr;  ///< takes the file name
};

constexpr std::array kRows{
    Row{"help", Takes::nothing, Verb::help},
    Row{"version", Takes::nothing, Verb::version},
    Row{"user", Takes::maybe_password, Verb::set},
    Row{"delete", Takes::name, Verb::remove},
    Row{"list", Takes::maybe_name, Verb::list},
    Row{"init", Takes::nothing, Verb::init},
    Row{"disable", Takes::name, Verb::disable},
    Row{"enable", Takes::name, Verb::enable},
    Row{"check", Takes::maybe_name, Verb::check},
    Row{"import", Takes::file, Verb::import_file, nullptr, &Command::file},
    Row{"export", Takes::file, Verb::export_file, nullptr, &Command::file},
    Row{"backup", Takes::file, Verb::backup, nullptr, &Command::file},
    Row{"restore", Takes::file, Verb::restore, nullptr, &Command::file},
    Row{"compact", Takes::nothing, Verb::compact},
    Row{"safe", Takes::nothing, std::nullopt, &Command::safe},
    Row{"stdin", Takes::nothing, std::nullopt, &Command::from_stdin},
    Row{"only", Takes::nothing, std::nullopt, &Command::only},
    Row{"dry-run", Takes::nothing, std::nullopt, &Command::dry_run},
    Row{"replace", Takes::nothing, std::nullopt, &Command::replace},
    Row{"with-verifiers", Takes::nothing, std::nullopt, &Command::with_verifiers},
    Row{"debug", Takes::nothing, std::nullopt, &Command::debug},
    Row{"trace", Takes::file, std::nullopt, nullptr, &Command::trace},
    Row{"format", Takes::file, std::nullopt, nullptr, &Command::format},
    Row{"db", Takes::file, std::nullopt, nullptr, &Command::database},
    Row{"f", Takes::file, std::nullopt, nullptr, &Command::configuration},
    Row{"iterations", Takes::number, std::nullopt},
};

class Parser {
 public:
  explicit Parser(std::span<char*> words) : words_(words) {}

  Result<Command> run() {
    while (next_ < words_.size()) {
      if (auto ok = option(); !ok) {
        wipe_all();
        return ok.error();
      }
    }
    if (auto ok = fits_together(); !ok) return ok.error();
    return std::move(command_);
  }

 private:
  static bool is_option(std::string_view word) { return word.size() > 1 && word.front() == '-'; }

  base::Status fits_together() const {
    const Verb verb = command_.verb;
    if (command_.safe && verb != Verb::init) return wrong("-safe goes with -init only");
    if (command_.from_stdin && ((verb != Verb::set && verb != Verb::check) || command_.has_password)) {
      return wrong("-stdin goes with setting or checking a password, and without one on the command line");
    }
    if (command_.only && verb != Verb::set) return wrong("-only goes with setting a password only");
    if (command_.iterations != 0 && verb != Verb::init && verb != Verb::set) {
      return wrong("-iterations goes with -init and -user");
    }
    if ((command_.dry_run || command_.replace || !command_.format.empty()) && verb != Verb::import_file) {
      return wrong("-dry-run, -replace and -format go with -import only");
    }
    if (command_.with_verifiers && verb != Verb::export_file) return wrong("-with-verifiers goes with -export only");
    if (!command_.database.empty() && !command_.configuration.empty()) return wrong("either -db or -f");
    return {};
  }

  /// The next word unless it is an option.
  std::optional<std::string_view> take_argument() {
    if (next_ >= words_.size()) return std::nullopt;
    const std::string_view word{words_[next_]};
    if (is_option(word)) return std::nullopt;
    ++next_;
    return word;
  }

  base::Status option() {
    const std::string_view word{words_[next_]};
    if (!is_option(word)) return wrong("unexpected argument");  // may be a password: not repeated
    ++next_;
    const auto name = word.substr(word.starts_with("--") ? 2 : 1);
    const auto row = std::ranges::find(kRows, name, &Row::name);
    if (row == kRows.end()) return wrong(fmt::format("unknown option \"{}\"", base::escape_untrusted(word, 40)));
    if (row->verb) {
      if (chosen_) return wrong("more than one of the options that say what to do");
      chosen_ = true;
      command_.verb = *row->verb;
    }
    if (row->flag != nullptr) command_.*row->flag = true;
    return arguments(*row);
  }

  base::Status arguments(const Row& row) {
    switch (row.takes) {
      case Takes::nothing:
        return {};
      case Takes::maybe_name:
        command_.user = take_argument().value_or("");
        return {};
      case Takes::name:
      case Takes::maybe_password: {
        const auto name = take_argument();
        if (!name || name->empty()) return wrong(fmt::format("-{} needs a user name", row.name));
        command_.user = *name;
        return row.takes == Takes::name ? base::Status{} : password();
      }
      case Takes::file: {
        const auto given = take_argument();
        if (!given || given->empty()) return wrong(fmt::format("-{} needs a {}", row.name, row.name == "format" ? "name" : "file name"));
        command_.*row.text = *given;
        return {};
      }
      case Takes::number: {
        const auto given = base::parse_decimal(take_argument().value_or(""));
        if (!given || *given < authdb::kMinIterations || *given > authdb::kMaxIterations) {
          return wrong(fmt::format("-{} needs a number from {} to {}", row.name, authdb::kMinIterations, authdb::kMaxIterations));
        }
        command_.iterations = static_cast<std::uint32_t>(*given);
        return {};
      }
    }
    return {};
  }

  base::Status password() {
    if (next_ >= words_.size() || is_option(words_[next_])) return {};
    char* const word = words_[next_++];
    const std::size_t size = std::strlen(word);
    command_.has_password = true;
    const bool fits = command_.password.assign({word, size});
    base::wipe(word, size);
    if (!fits) return wrong("password longer than 255 octets");
    return {};
  }

  /// After a mistake nobody knows which word was meant as the password.
  void wipe_all() {
    for (char* word : words_) base::wipe(word, std::strlen(word));
  }

  std::span<char*> words_;
  std::size_t next_ = 0;
  bool chosen_ = false;
  Command command_;
};

/// The program under its three names; the original changed its ways by them.
std::optional<Mode> mode_of(std::string_view program) {
  const auto name = program.substr(program.rfind('/') + 1);
  if (name == "popauth" || name == "apopauth") return Mode::apop;
  if (name == "scramauth") return Mode::scram;
  return std::nullopt;
}

}  // namespace

Result<Command> parse_command_line(int argc, char** argv) {
  if (argc < 1) return wrong("no arguments at all");
  if (argc > kMaxArguments) return wrong("too many arguments");
  const auto mode = mode_of(argv[0]);
  if (!mode) return wrong("Unknown mode");
  const std::span<char*> words{argv + 1, static_cast<std::size_t>(argc - 1)};
  for (const char* word : words) {
    if (std::strlen(word) > kMaxArgumentOctets) return wrong("argument too long");
  }
  auto command = Parser{words}.run();
  if (command) command->mode = *mode;
  return command;
}

std::string_view usage() {
  return "usage: popauth                              set your own password\n"
         "       popauth -user NAME [-stdin]          set the password of NAME (root or \"pop\")\n"
         "       popauth -delete NAME                 delete the entry of NAME (root or \"pop\")\n"
         "       popauth -disable NAME | -enable NAME refuse logins of NAME, or let them in again (root or \"pop\")\n"
         "       popauth -list [NAME | ALL]           show an entry, or all of them\n"
         "       popauth -check [NAME] [-stdin]       say whether a password is right\n"
         "       popauth -init [-safe]                make a new database (root)\n"
         "       popauth -import FILE [-format qpopper|mailutils|solid-pop3d|dovecot|text] [-dry-run] [-replace]\n"
         "       popauth -export FILE [-with-verifiers]\n"
         "       popauth -backup FILE | -restore FILE | -compact\n"
         "       popauth -help | -version\n"
         "       -stdin         read the password from standard input, one line\n"
         "       -iterations N  cost of a password, with -init and -user; default 16384\n"
         "       -db FILE       use this database instead of /etc/pop.auth\n"
         "       -f FILE        use the database that this qpopper.config names\n"
         "       -debug, -trace FILE  say what is done in the system log, or in FILE\n";
}

}  // namespace qpop::popauth
