// SPDX-License-Identifier: MIT
// The command line of popauth. Runs as: the caller, with the owner's uid saved.
#include "popauth/command_line.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>
#include <span>

#include "common/base/text.h"

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;
using base::Result;

namespace {

// Far above any honest use: seven words, the longest a path.
constexpr int kMaxArguments = 16;
constexpr std::size_t kMaxArgumentOctets = 1024;

Error wrong(std::string text) {
  return Error{ErrorKind::denied, std::move(text)};
}

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
    if (command_.safe && command_.verb != Verb::init) return wrong("-safe goes with -init only");
    if (command_.from_stdin && (command_.verb != Verb::set || command_.has_password)) {
      return wrong("-stdin goes with setting a password, and without one on the command line");
    }
    if (!command_.database.empty() && !command_.configuration.empty()) return wrong("either -db or -f");
    return std::move(command_);
  }

 private:
  static bool is_option(std::string_view word) { return word.size() > 1 && word.front() == '-'; }

  /// The next word unless it is an option.
  std::optional<std::string_view> take_argument() {
    if (next_ >= words_.size()) return std::nullopt;
    const std::string_view word{words_[next_]};
    if (is_option(word)) return std::nullopt;
    ++next_;
    return word;
  }

  base::Status choose(Verb verb) {
    if (chosen_) return wrong("more than one of -user, -delete, -list, -init");
    chosen_ = true;
    command_.verb = verb;
    return {};
  }

  base::Status named(Verb verb, std::string_view option) {
    if (auto ok = choose(verb); !ok) return ok;
    const auto name = take_argument();
    if (!name || name->empty()) return wrong(fmt::format("{} needs a user name", option));
    command_.user = *name;
    return {};
  }

  base::Status set_user() {
    if (auto ok = named(Verb::set, "-user"); !ok) return ok;
    if (next_ >= words_.size() || is_option(words_[next_])) return {};
    char* const word = words_[next_++];
    const std::size_t size = std::strlen(word);
    command_.has_password = true;
    const bool fits = command_.password.assign({word, size});
    base::wipe(word, size);
    if (!fits) return wrong("password longer than 255 octets");
    return {};
  }

  base::Status option() {
    const std::string_view word{words_[next_]};
    std::string_view name = word;
    if (!is_option(name)) return wrong("unexpected argument");  // may be a password: not repeated
    ++next_;
    name.remove_prefix(name.starts_with("--") ? 2 : 1);
    if (name == "help") return choose(Verb::help);
    if (name == "version") return choose(Verb::version);
    if (name == "user") return set_user();
    if (name == "delete") return named(Verb::remove, "-delete");
    if (name == "init") return choose(Verb::init);
    if (name == "list") return list();
    if (name == "safe") return flag(command_.safe);
    if (name == "stdin") return flag(command_.from_stdin);
    if (name == "debug") return flag(command_.ignored_trace);
    if (name == "trace") {
      take_argument();
      return flag(command_.ignored_trace);
    }
    if (name == "db") return file_name(command_.database, "-db");
    if (name == "f") return file_name(command_.configuration, "-f");
    return wrong(fmt::format("unknown option \"{}\"", base::escape_untrusted(word, 40)));
  }

  base::Status list() {
    if (auto ok = choose(Verb::list); !ok) return ok;
    command_.user = take_argument().value_or("");
    return {};
  }

  base::Status file_name(std::string& path, std::string_view option) {
    const auto given = take_argument();
    if (!given || given->empty()) return wrong(fmt::format("{} needs a file name", option));
    path = *given;
    return {};
  }

  static base::Status flag(bool& value) {
    value = true;
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

}  // namespace

Result<Command> parse_command_line(int argc, char** argv) {
  if (argc < 1) return wrong("no arguments at all");
  if (argc > kMaxArguments) return wrong("too many arguments");
  const std::span<char*> words{argv + 1, static_cast<std::size_t>(argc - 1)};
  for (const char* word : words) {
    if (std::strlen(word) > kMaxArgumentOctets) return wrong("argument too long");
  }
  return Parser{words}.run();
}

std::string_view usage() {
  return "usage: popauth                              set your own password\n"
         "       popauth -user NAME [-stdin]          set the password of NAME (root or \"pop\")\n"
         "       popauth -delete NAME                 delete the entry of NAME (root or \"pop\")\n"
         "       popauth -list [NAME | ALL]           show an entry, or all of them\n"
         "       popauth -init [-safe]                make a new database (root)\n"
         "       popauth -help | -version\n"
         "       -stdin    read the password from standard input, one line\n"
         "       -db FILE  use this database instead of /etc/pop.auth\n"
         "       -f FILE   use the database that this qpopper.config names\n";
}

}  // namespace qpop::popauth
