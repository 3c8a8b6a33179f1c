// SPDX-License-Identifier: MIT
// Command line by Boost.Program_options, made from the option table; its exceptions end here.
#include "common/config/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>

#include "common/base/text.h"

namespace qpop::config {

namespace {

namespace po = boost::program_options;

po::options_description describe() {
  po::options_description described;
  auto add = described.add_options();
  add("help,h", "")("version,v", "")("check", "")("print-config", "")("foreground", "");
  add("recover", po::value<std::string>()->implicit_value("all"), "");
  add("compare-uidl", po::value<std::string>(), "")("import-uidl", po::value<std::string>(), "")("import-bulldb", po::value<std::string>(), "")("against", po::value<std::string>(), "");
  add("who", "")("kick", po::value<std::string>(), "")("metrics", "");
  add("announce,e", po::value<std::string>(), "");
  for (const Option& row : kOptions) {
    if (row.id == Opt::listen) continue;
    const std::string name = row.letter == 0 ? std::string{row.name} : fmt::format("{},{}", row.name, row.letter);
    auto* value = po::value<std::string>();
    // A letter of a boolean takes no value (popper -s); the long form may (--statistics=false).
    if (row.type == Type::boolean) value->implicit_value("true");
    add(name.c_str(), value, "");
  }
  add("listen", po::value<std::string>(), "")("forgotten", po::value<std::string>(), "");
  return described;
}

/// Qpopper's flags gave some choices as numbers: -p 4 is clear-text-password = tls.
std::string number_to_choice(const Option& row, const std::string& value) {
  const auto index = base::parse_decimal(value);
  if (row.type != Type::mnemonic || row.letter == 0 || !index) return value;
  const auto choices = base::words(row.mnemonics);
  return *index < choices.size() ? std::string{choices[*index]} : value;
}

const Option* option_of(char letter) {
  const auto* found = std::ranges::find_if(kOptions, [letter](const Option& row) { return row.letter == letter; });
  return letter == 0 || found == kOptions.end() ? nullptr : found;
}

bool is_switch(char letter) {
  const Option* row = option_of(letter);
  return row != nullptr && row->type == Type::boolean;
}

/// -R switches off, all others on.
std::string switched(const Option& row) { return fmt::format("--{}={}", row.name, row.id == Opt::reverse_lookup ? "false" : "true"); }

/// Flags of Qpopper 4.1 of which nobody knows any more what they did.
bool is_forgotten(char letter) { return letter == 'V' || letter == 'x'; }
std::string forgotten(char letter) { return fmt::format("--forgotten=-{}", letter); }

/// Boost would take the word behind `-s` as its value; a letter of a boolean never has one.
std::vector<std::string> protect_switches(const std::vector<std::string>& arguments) {
  std::vector<std::string> out;
  for (auto argument : arguments) {
    // The user's name behind it would be taken for an address.
    if (!out.empty() && out.back() == "--recover" && !argument.starts_with('-')) {
      out.back() += "=" + argument;
      continue;
    }
    // -sS and -sf FILE: letters without value in front of the last one.
    while (argument.size() > 2 && argument[0] == '-' && (is_switch(argument[1]) || is_forgotten(argument[1]))) {
      out.push_back(is_forgotten(argument[1]) ? forgotten(argument[1]) : switched(*option_of(argument[1])));
      argument.erase(1, 1);
    }
    if (argument.size() == 2 && argument[0] == '-' && is_forgotten(argument[1])) {
      out.push_back(forgotten(argument[1]));
      continue;
    }
    // As in the original a trace file brings the debug records with it.
    if (argument.starts_with("-t")) out.emplace_back("--debug=true");
    const bool letter = argument.size() == 2 && argument[0] == '-';
    const auto* row = letter ? nullptr : argument.starts_with("--") ? find_option(argument.substr(2)) : nullptr;
    if (letter) row = option_of(argument[1]);
    if (row != nullptr && row->type == Type::boolean) {
      out.push_back(letter ? switched(*row) : fmt::format("--{}=true", row->name));
    } else {
      out.push_back(argument);
    }
  }
  return out;
}

class Evaluator {
 public:
  void run(const std::vector<std::string>& arguments) {
    po::positional_options_description positional;
    positional.add("listen", -1);
    const auto described = describe();
    const auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    const auto parsed = po::command_line_parser(protect_switches(arguments)).options(described).positional(positional).style(style).run();
    for (const auto& given : parsed.options) apply(given);
    if (result.action == Action::recover && result.has_addresses) {
      result.problems.push_back({"command line: --recover takes one user, or none for all, and no address", false});
    }
    if (result.action == Action::import_bulldb && result.has_addresses) {
      result.problems.push_back({"command line: --import-bulldb takes one file, and no address", false});
    }
    const bool asks = result.action == Action::who || result.action == Action::kick || result.action == Action::metrics || result.action == Action::compare_uidl ||
                      result.action == Action::import_uidl;
    if (asks && result.has_addresses) {
      result.problems.push_back({fmt::format("command line: \"{}\" is one argument too many", base::escape_untrusted(result.settings.list(Opt::listen).back(), 80)), false});
    }
    const bool uidl = result.action == Action::compare_uidl || result.action == Action::import_uidl;
    if (uidl == result.against.empty()) {
      result.problems.push_back({"command line: --compare-uidl and --import-uidl need --against FILE or HOST:PORT, and nothing else does", false});
    }
  }
  CommandLine result;

 private:
  void apply(const po::option& given) {
    if (given.string_key == "help") result.action = Action::help;
    if (given.string_key == "version") result.action = Action::version;
    if (given.string_key == "check") result.action = Action::check;
    if (given.string_key == "print-config") result.action = Action::print_config;
    if (given.string_key == "who") result.action = Action::who;
    if (given.string_key == "metrics") result.action = Action::metrics;
    if (given.string_key == "kick") {
      result.action = Action::kick;
      result.kick_user = given.value.front();
    }
    if (given.string_key == "foreground") result.foreground = true;
    if (given.string_key == "recover") take_recover(given.value.empty() ? "all" : given.value.front());
    if (given.string_key == "compare-uidl") take_uidl(Action::compare_uidl, given.value.front());
    if (given.string_key == "import-uidl") take_uidl(Action::import_uidl, given.value.front());
    if (given.string_key == "import-bulldb") take_bulldb(given.value.front());
    if (given.string_key == "against") result.against = given.value.front();
    if (given.string_key == "announce") return take_announcements(given.value.empty() ? "" : given.value.front());
    if (given.string_key == "forgotten") {
      const auto flag = given.value.empty() ? std::string{} : given.value.front();
      return result.problems.push_back({fmt::format("command line: the flag {} of Qpopper 4.1 has no known meaning; skipped", flag), true});
    }
    const Option* row = find_option(given.string_key);
    if (row == nullptr) return;
    const std::string value = given.value.empty() ? "true" : given.value.front();
    if (row->id == Opt::config_file) {
      result.files.push_back(value);
      return add_problems(read_file(value, result.settings));
    }
    if (row->id == Opt::listen) result.has_addresses = true;
    const std::string place{kCommandLine};
    if (auto set = result.settings.set(*row, number_to_choice(*row, value), place); !set) {
      result.problems.push_back({fmt::format("{}: {} = \"{}\": {}", place, row->name, base::escape_untrusted(value, 80), set.error().detail()), false});
    } else if (row->obsolete) {
      result.problems.push_back({fmt::format("{}: {} is obsolete and does nothing. {}", place, row->name, row->manual), true});
    }
  }
  void take_uidl(Action action, const std::string& user) {
    if (user.empty()) result.problems.push_back({"command line: the user's name is empty", false});
    result.action = action;
    result.uidl_user = user;
  }
  void take_bulldb(const std::string& file) {
    if (file.empty()) result.problems.push_back({"command line: --import-bulldb: the file's name is empty", false});
    result.action = Action::import_bulldb;
    result.bulldb = file;
  }
  void take_recover(const std::string& user) {
    if (result.action == Action::recover) {
      result.problems.push_back({"command line: --recover: one user, or all of them", false});
    } else if (user.empty()) {
      result.problems.push_back({"command line: --recover: the user's name is empty", false});
    }
    result.action = Action::recover;
    result.recover_user = user == "all" ? "" : user;
  }
  /// -e login_delay=n,expire=n; without a value: no delay, and mail that is never deleted.
  void take_announcements(std::string_view list) {
    for (bool more = true; more;) {
      const auto comma = list.find(',');
      const auto one = list.substr(0, comma);
      more = comma != std::string_view::npos;
      if (more) list.remove_prefix(comma + 1);
      const auto equals = one.find('=');
      const auto name = base::trim(one.substr(0, equals));
      auto value = equals == std::string_view::npos ? std::string_view{"-1"} : base::trim(one.substr(equals + 1));
      const bool delay = base::equal_ignoring_case(name, "login_delay");
      if (!delay && !base::equal_ignoring_case(name, "expire")) {
        return result.problems.push_back({fmt::format("command line: -e: \"{}\": want login_delay=n,expire=n", base::escape_untrusted(one, 80)), false});
      }
      if (delay && value == "-1") value = "0";
      const Option& row = option(delay ? Opt::announce_login_delay : Opt::announce_expire);
      if (auto set = result.settings.set(row, value, "command line"); !set) {
        return result.problems.push_back({fmt::format("command line: -e: {} = \"{}\": {}", name, base::escape_untrusted(value, 80), set.error().detail()), false});
      }
    }
  }
  void add_problems(std::vector<Problem> more) {
    for (auto& problem : more) result.problems.push_back(std::move(problem));
  }
};

}  // namespace

CommandLine read_command_line(const std::vector<std::string>& arguments) {
  Evaluator evaluator;
  try {
    evaluator.run(arguments);
  } catch (const po::error& error) {
    evaluator.result.problems.push_back({fmt::format("command line: {}; popper --help lists the options", base::escape_untrusted(error.what())), false});
  }
  return std::move(evaluator.result);
}

}  // namespace qpop::config
