// SPDX-License-Identifier: MIT
// Options by Boost.Program_options; which go together.
#include "popcheck/command_line.h"

#include <fmt/format.h>

#include <array>
#include <boost/program_options.hpp>

#include "common/base/text.h"

namespace qpop::popcheck {

namespace {

namespace po = boost::program_options;
using base::Error;
using base::ErrorKind;

struct Row {
  std::string_view name;
  std::string_view value;  ///< empty: a switch
  std::string_view summary;
};

constexpr std::array kRows{
    Row{"repair", "", "put right what is wrong, under the mail locks; write a ledger"},
    Row{"dry-run", "", "show what --repair would change"},
    Row{"aggressive", "", "with --repair or --dry-run: doubtful places too"},
    Row{"ask", "", "with --repair: ask about doubtful places, showing both readings"},
    Row{"undo", "", "take the last repair of a spool back, or that of a ledger (a file that ends in .ledger)"},
    Row{"verify", "", "check ledgers against their spools"},
    Row{"explain", "ID", "what a finding means; all of them: --explain all"},
    Row{"locks", "", "test whether our locks and those of delivery agents see each other"},
    Row{"recover", "", "complete interrupted updates and repairs"},
    Row{"all", "", "every spool: of spool-dir, hashed folders included, or by home-dir-mail of every user"},
    Row{"stdin", "", "check standard input"},
    Row{"config", "FILE", "the qpopper.config that names the folders; default /etc/qpopper.config"},
    Row{"ledger-dir", "FOLDER", "for ledgers of spools that are not in spool-dir; default ~/.popcheck"},
    Row{"lock-timeout", "SECONDS", "how long to wait for locks; default 60"},
    Row{"jobs", "N", "spools at the same time; default: one for each processor"},
    Row{"json", "", "one JSON array instead of text"},
    Row{"report", "FILE", "a page (HTML) with a map of the bytes of each spool"},
    Row{"quiet", "", "say nothing when all is well"},
    Row{"help", "", "this text"},
    Row{"version", "", "the version"},
};

base::Result<std::uint64_t> number(const po::variables_map& given, const char* name, std::uint64_t least, std::uint64_t most) {
  const auto value = base::parse_decimal(given[name].as<std::string>());
  if (!value || *value < least || *value > most)
    return Error{ErrorKind::malformed, fmt::format("--{}: a number from {} to {} is wanted", name, least, most)};
  return *value;
}

base::Result<Verb> verb_of(const po::variables_map& given) {
  struct Choice {
    const char* name;
    Verb verb;
  };
  constexpr std::array kChoices{Choice{"help", Verb::help},       Choice{"version", Verb::version}, Choice{"explain", Verb::explain},
                                Choice{"dry-run", Verb::dry_run}, Choice{"repair", Verb::repair},   Choice{"undo", Verb::undo},
                                Choice{"verify", Verb::verify},   Choice{"locks", Verb::locks},     Choice{"recover", Verb::recover}};
  const Choice* found = nullptr;
  for (const auto& choice : kChoices) {
    if (given.count(choice.name) == 0) continue;
    // --repair --dry-run: what it would do.
    const bool both = found != nullptr && found->verb == Verb::dry_run && choice.verb == Verb::repair;
    if (found != nullptr && !both) return Error{ErrorKind::malformed, fmt::format("--{} and --{} do not go together", found->name, choice.name)};
    if (!both) found = &choice;
  }
  return found == nullptr ? Verb::check : found->verb;
}

base::Status check_together(const Command& out) {
  const auto wrong = [](std::string_view text) { return Error{ErrorKind::malformed, std::string{text}}; };
  const bool changes = out.verb == Verb::repair || out.verb == Verb::dry_run;
  if ((out.aggressive || out.ask) && !changes) return wrong("--aggressive and --ask are for --repair");
  if (out.aggressive && out.ask) return wrong("--aggressive and --ask do not go together");
  if (out.from_stdin && (out.verb != Verb::check || out.all || !out.targets.empty())) return wrong("--stdin is checked alone and cannot be changed");
  if (out.all && !out.targets.empty()) return wrong("--all takes no names");
  if ((out.verb == Verb::undo || out.verb == Verb::verify) && out.targets.empty()) return wrong("name a spool or a ledger");
  if (out.verb == Verb::undo && out.all) return wrong("--undo wants names");
  if (!out.report.empty() && out.verb != Verb::check) return wrong("--report is for a check");
  return {};
}

}  // namespace

base::Result<Command> parse_command_line(const std::vector<std::string>& arguments) {
  po::options_description options;
  for (const auto& row : kRows) {
    const std::string name{row.name};
    if (row.value.empty()) {
      options.add_options()(name == "help" ? "help,h" : name == "quiet" ? "quiet,q" : name.c_str(), "");
    } else {
      options.add_options()(name == "config" ? "config,f" : name.c_str(), po::value<std::string>(), "");
    }
  }
  options.add_options()("target", po::value<std::vector<std::string>>(), "");
  po::positional_options_description rest;
  rest.add("target", -1);
  po::variables_map given;
  try {
    po::store(po::command_line_parser(arguments).options(options).positional(rest).style(po::command_line_style::unix_style & ~po::command_line_style::allow_guessing).run(), given);
  } catch (const po::error& error) {
    return Error{ErrorKind::malformed, error.what()};
  }
  Command out;
  auto verb = verb_of(given);
  if (!verb) return verb.error();
  out.verb = *verb;
  const auto text = [&](const char* name, std::string& to) {
    if (given.count(name) != 0) to = given[name].as<std::string>();
  };
  text("config", out.config);
  text("ledger-dir", out.ledger_dir);
  text("report", out.report);
  text("explain", out.finding);
  out.config_given = given.count("config") != 0;
  out.all = given.count("all") != 0;
  out.from_stdin = given.count("stdin") != 0;
  out.json = given.count("json") != 0;
  out.quiet = given.count("quiet") != 0;
  out.aggressive = given.count("aggressive") != 0;
  out.ask = given.count("ask") != 0;
  if (given.count("target") != 0) out.targets = given["target"].as<std::vector<std::string>>();
  if (given.count("jobs") != 0) {
    auto jobs = number(given, "jobs", 1, 256);
    if (!jobs) return jobs.error();
    out.jobs = static_cast<unsigned>(*jobs);
  }
  if (given.count("lock-timeout") != 0) {
    auto seconds = number(given, "lock-timeout", 1, 3600);
    if (!seconds) return seconds.error();
    out.lock_timeout_s = static_cast<std::uint32_t>(*seconds);
  }
  if (auto fits = check_together(out); !fits) return fits.error();
  return out;
}

std::string usage() {
  std::string text = "usage: popcheck [option]... [user | file]...\n";
  for (const auto& row : kRows) text += fmt::format("  --{:<22} {}\n", row.value.empty() ? std::string{row.name} : fmt::format("{} {}", row.name, row.value), row.summary);
  return text;
}

}  // namespace qpop::popcheck
