// SPDX-License-Identifier: MIT
// One table of options says which verb takes which; usage and parser are made from it.
#include "popcert/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>

#include "common/base/text.h"

namespace qpop::popcert {

namespace {

namespace po = boost::program_options;
using base::Error;
using base::ErrorKind;

struct VerbRow {
  Verb verb;
  std::string_view name;
  std::string_view arguments;
  std::string_view summary;
};

constexpr std::array kVerbs{
    VerbRow{Verb::init, "init", "", "make a private key and a certificate, or a private authority with --ca"},
    VerbRow{Verb::request, "request", "", "make a private key and a request (CSR) for a public authority"},
    VerbRow{Verb::install, "install", "FILE...", "take over what an authority sent: PEM, DER, PKCS#7 or PKCS#12, in any order"},
    VerbRow{Verb::check, "check", "", "say what a client will see, and what to do about it"},
    VerbRow{Verb::renew, "renew", "", "make a new certificate before the old one of popcert ends"},
    VerbRow{Verb::deploy_hook, "deploy-hook", "[FOLDER | FILE...]", "take over what certbot, lego, dehydrated or uacme has renewed"},
    VerbRow{Verb::profile, "profile", "", "files and text that set up the clients of a user"},
};

/// `verbs`: names between blanks. `value`: what follows the option, empty for a switch.
struct OptionRow {
  std::string_view name;
  std::string_view value;
  std::string_view verbs;
  std::string_view summary;
};

constexpr std::array kOptions{
    OptionRow{"host", "NAME", " init request check profile ", "name or address that clients connect to; repeatable"},
    OptionRow{"file", "FILE", " init request install check renew deploy-hook profile ", "certificate chain, with the key unless --key-file is given"},
    OptionRow{"key-file", "FILE", " init request install check renew deploy-hook ", "private key in a file of its own"},
    OptionRow{"config", "FILE", " init request install check renew deploy-hook profile ", "the qpopper.config whose tls- options name the files"},
    OptionRow{"rsa", "BITS", " init request ", "an RSA key of 2048 or 3072 bits instead of ECDSA P-256"},
    OptionRow{"ca", "", " init ", "make a private authority (ca.pem, ca.key) and a certificate signed by it"},
    OptionRow{"days", "N", " init renew ", "validity, 398 at most; default 398"},
    OptionRow{"force", "", " init request install renew ", "replace what is there; renew: also before its time"},
    OptionRow{"connect", "HOST[:PORT]", " check ", "look at a server that runs; the port is 995, with --stls 110"},
    OptionRow{"stls", "", " check ", "with --connect: begin in clear, then STLS"},
    OptionRow{"ca-file", "FILE", " check profile ", "certificate of a private authority to trust"},
    OptionRow{"warn-days", "N", " check renew ", "days before the end from which on it is a warning, and renewed; default 21"},
    OptionRow{"json", "", " check ", "one JSON object instead of a table"},
    OptionRow{"quiet", "", " check renew deploy-hook ", "say nothing when all is well"},
    OptionRow{"user", "NAME", " profile ", "mail account; with @DOMAIN its address"},
    OptionRow{"folder", "FOLDER", " profile ", "write the files there; default: this folder"},
};

const VerbRow* row_of(std::string_view name) {
  const auto* found = std::ranges::find_if(kVerbs, [&](const VerbRow& row) { return row.name == name; });
  return found == kVerbs.end() ? nullptr : found;
}

bool belongs_to(const OptionRow& option, std::string_view verb) { return option.verbs.find(fmt::format(" {} ", verb)) != std::string_view::npos; }

base::Result<int> number(const std::string& option, const std::string& text, int least, int most) {
  const auto value = base::parse_decimal(text);
  if (!value || *value < static_cast<std::uint64_t>(least) || *value > static_cast<std::uint64_t>(most))
    return Error{ErrorKind::malformed, fmt::format("--{}: a number from {} to {} is wanted", option, least, most)};
  return static_cast<int>(*value);
}

base::Status take_numbers(const po::variables_map& given, Command& out) {
  if (given.count("days") != 0) {
    auto days = number("days", given["days"].as<std::string>(), 1, 398);
    if (!days) return days.error();
    out.days = *days;
  }
  if (given.count("warn-days") != 0) {
    auto days = number("warn-days", given["warn-days"].as<std::string>(), 0, 398);
    if (!days) return days.error();
    out.warn_days = *days;
  }
  if (given.count("rsa") == 0) return {};
  const auto& bits = given["rsa"].as<std::string>();
  if (bits != "2048" && bits != "3072") return Error{ErrorKind::malformed, "--rsa: 2048 or 3072 is wanted"};
  out.key_kind = bits == "2048" ? tls::KeyKind::rsa_2048 : tls::KeyKind::rsa_3072;
  return {};
}

void take_texts(const po::variables_map& given, Command& out) {
  const auto text = [&](const char* name, std::string& target) {
    if (given.count(name) != 0) target = given[name].as<std::string>();
  };
  text("file", out.file);
  text("key-file", out.key_file);
  text("config", out.configuration);
  text("connect", out.connect);
  text("ca-file", out.ca_file);
  text("user", out.user);
  text("folder", out.folder);
  if (given.count("host") != 0) out.hosts = given["host"].as<std::vector<std::string>>();
  if (given.count("source") != 0) out.sources = given["source"].as<std::vector<std::string>>();
  out.private_authority = given.count("ca") != 0;
  out.force = given.count("force") != 0;
  out.stls = given.count("stls") != 0;
  out.json = given.count("json") != 0;
  out.quiet = given.count("quiet") != 0;
}

base::Status check_sense(const Command& command) {
  const auto wrong = [](const char* text) { return Error{ErrorKind::malformed, text}; };
  if (command.verb == Verb::install && command.sources.empty()) return wrong("install: the files to take over are missing");
  if (command.verb == Verb::profile && command.user.empty()) return wrong("profile: --user is missing");
  if (command.stls && command.connect.empty()) return wrong("--stls needs --connect");
  if (command.verb == Verb::check && !command.connect.empty() && (!command.file.empty() || !command.key_file.empty()))
    return wrong("check looks either at files or, with --connect, at a server");
  return {};
}

base::Result<Command> parse(const VerbRow& row, const std::vector<std::string>& rest) {
  po::options_description described;
  described.add_options()("help,h", "")("source", po::value<std::vector<std::string>>(), "");
  for (const auto& option : kOptions) {
    if (!belongs_to(option, row.name)) continue;
    const std::string name = option.name == "config" ? "config,f" : std::string{option.name};
    if (option.value.empty()) {
      described.add_options()(name.c_str(), "");
    } else if (option.name == "host") {
      described.add_options()(name.c_str(), po::value<std::vector<std::string>>(), "");
    } else {
      described.add_options()(name.c_str(), po::value<std::string>(), "");
    }
  }
  po::positional_options_description places;
  if (!row.arguments.empty()) places.add("source", -1);
  po::variables_map given;
  try {
    // A shortened name would change its meaning with the next option that begins so.
    const auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(rest).options(described).positional(places).style(style).run(), given);
  } catch (const po::error& error) {
    return Error{ErrorKind::malformed, fmt::format("{}: {}", row.name, base::escape_untrusted(error.what(), 300))};
  }
  Command out;
  out.verb = given.count("help") != 0 ? Verb::help : row.verb;
  if (out.verb == Verb::help) return out;
  for (const auto& option : kOptions) {
    const auto found = given.find(std::string{option.name});
    const auto* text = option.value.empty() || found == given.end() ? nullptr : boost::any_cast<std::string>(&found->second.value());
    // An unset variable of a script must not mean the default place.
    if (text != nullptr && text->empty()) return Error{ErrorKind::malformed, fmt::format("--{}: its value is empty", option.name)};
  }
  take_texts(given, out);
  if (auto done = take_numbers(given, out); !done) return done.error();
  if (auto done = check_sense(out); !done) return done.error();
  return out;
}

}  // namespace

base::Result<Command> parse_command_line(const std::vector<std::string>& arguments) {
  Command out;
  if (arguments.empty()) return Error{ErrorKind::malformed, "what is to be done?"};
  const auto& first = arguments.front();
  if (first == "--help" || first == "-h" || first == "help") return out;
  if (first == "--version" || first == "-v" || first == "version") {
    out.verb = Verb::version;
    return out;
  }
  const VerbRow* row = row_of(first);
  if (row == nullptr) return Error{ErrorKind::malformed, fmt::format("\"{}\" is none of its commands", base::escape_untrusted(first, 60))};
  return parse(*row, {arguments.begin() + 1, arguments.end()});
}

std::string usage(Verb verb) {
  std::string out = "Usage:\n";
  for (const auto& row : kVerbs) {
    if (verb != Verb::help && verb != row.verb) continue;
    out += fmt::format("  popcert {} [OPTION...]{}{}\n      {}\n", row.name, row.arguments.empty() ? "" : " ", row.arguments, row.summary);
    for (const auto& option : kOptions) {
      if (!belongs_to(option, row.name)) continue;
      const auto name = fmt::format("{}--{}{}{}", option.name == "config" ? "-f, " : "", option.name, option.value.empty() ? "" : " ", option.value);
      out += fmt::format("      {:<24} {}\n", name, option.summary);
    }
  }
  return out + "Exit codes: 0 well, 1 warnings, 2 critical findings, 3 wrong use, 4 failed. See popcert(8).\n";
}

}  // namespace qpop::popcert
