// SPDX-License-Identifier: MIT
// Texts made from the option table.
#include "common/config/generate.h"

#include <fmt/format.h>

#include <algorithm>

namespace qpop::config {

namespace {

std::string_view type_word(const Option& row) {
  switch (row.type) {
    case Type::boolean:
      return "true or false";
    case Type::integer:
      return "number";
    case Type::seconds:
      return "seconds, or a number with s, m or h";
    case Type::days:
      return "number of days, or never";
    case Type::mnemonic:
      return "one of the words named";
    case Type::text:
      return "text";
    case Type::list:
      return "text, repeatable";
  }
  return "";
}

std::string quoted(std::string_view text) {
  const bool plain = !text.empty() && text.find_first_of(" \t\"'`#") == std::string_view::npos;
  if (plain) return std::string{text};
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string bounds(const Option& row) {
  if (row.type != Type::integer && row.type != Type::seconds && row.type != Type::days) return {};
  return fmt::format(", from {} to {}", row.least, row.most);
}

/// Who may set it besides the administrator's files and the command line.
std::string_view who_else(const Option& row) {
  if (row.obsolete || is_settled_before_option_files(row)) return "";
  return row.scope == Scope::N ? "Users may set it." : "May stand in spool-options files.";
}

std::string wrapped(std::string_view text, std::string_view lead) {
  std::string out;
  while (!text.empty()) {
    auto end = text.size();
    if (end > 92) end = std::min(text.rfind(' ', 92), text.size());
    out += fmt::format("{}{}\n", lead, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

/// mdoc reads a line that starts with a dot or quote as a macro, and a backslash as an escape.
std::string mdoc(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') out += "\\e";
    else if (text[i] == '-' && (i == 0 || text[i - 1] == ' ')) out += "\\-";
    else out += text[i];
    if (text[i] == '.' && i + 1 < text.size() && text[i + 1] == ' ') {
      out += '\n';
      ++i;
    }
  }
  return out;
}

}  // namespace

std::string help_text() {
  std::string out =
      "Usage: popper [option]... [[address][:port]]...\n"
      "POP3 server for mbox and MMDF spools. From inetd or systemd it serves the socket it is given;\n"
      "with an address or a listen option it is a daemon.\n\n"
      "  -f, --config-file FILE           read a configuration file at this point of the command line\n"
      "      --check                      check the configuration and what it names, then exit\n"
      "      --print-config               print every option, its value and where it came from, then exit\n"
      "      --recover [USER|all]         complete interrupted updates of maildrops, then exit; at boot, before mail is delivered\n"
      "      --compare-uidl USER          would a client download anything again that knows USER's mail from another server\n"
      "      --import-uidl USER           give USER's mail the unique-ids of another server\n"
      "      --import-bulldb FILE         take the numbers of the last bulletins over from the bulletin database of Qpopper\n"
      "      --against FILE|HOST:PORT     that server: its saved UIDL answer, dovecot-uidlist or courierpop3dsizelist; or where it serves\n"
      "      --who                        list the clients of the running server\n"
      "      --kick USER                  end the sessions of USER; nothing is deleted\n"
      "      --metrics                    what the running server has counted, in OpenMetrics form\n"
      "      --foreground                 stay in the foreground and log to standard error as well\n"
      "  -h, --help                       this text\n"
      "  -v, --version                    the version\n\n"
      "Options (also as \"set NAME = VALUE\" in a configuration file, see qpopper.config(5)):\n";
  for (const Option& row : kOptions) {
    if (row.id == Opt::config_file) continue;
    const std::string letter = row.letter == 0 ? "    " : fmt::format("-{}, ", row.letter);
    const std::string name = fmt::format("--{}", row.name);
    out += fmt::format("  {}{:<28} {}{}\n", letter, name, row.summary, row.preset.empty() || row.obsolete ? "" : fmt::format(" [{}]", row.preset));
  }
  return out;
}

std::string sample_text() {
  std::string out =
      "# qpopper.config: sample configuration, made from the option table; see qpopper.config(5).\n"
      "# Every option stands here with its default, commented out.\n";
  for (const Option& row : kOptions) {
    if (row.obsolete) continue;
    out += fmt::format("\n# {}: {} ({}{})\n", row.name, row.summary, type_word(row), bounds(row));
    if (!row.mnemonics.empty()) out += fmt::format("# Values: {}\n", row.mnemonics);
    out += wrapped(row.manual, "# ");
    if (!who_else(row).empty()) out += fmt::format("# {}\n", who_else(row));
    out += fmt::format("# set {} = {}\n", row.name, quoted(row.preset));
  }
  return out;
}

std::string manual_text() {
  std::string out =
      ".\\\" SPDX-License-Identifier: MIT\n.\\\" Made from the option table (common/config); do not edit.\n"
      ".Dd November 22, 2026\n.Dt QPOPPER.CONFIG 5\n.Os\n.Sh NAME\n.Nm qpopper.config\n.Nd configuration of popper\n.Sh DESCRIPTION\n"
      "Read by\n.Xr popper 8\nwhere the command line says\n.Fl f Ar file .\n"
      "Each line is empty, a comment that starts with\n.Ql # ,\nor one of\n"
      ".Bd -literal -offset indent\nset name = value\nset name\nreset name\n.Ed\n.Pp\n"
      "The last two are for options that are true or false.\n"
      "Names and words are not case-sensitive.\n"
      "A value with blanks stands between\n.Ql \\(dq ,\n.Ql \\(aq\nor\n.Ql \\(ga .\n"
      "Numbers may be decimal, hexadecimal (0x10) or octal (010).\n"
      "The last setting of an option counts; options that are repeatable add up.\n"
      "A relative\n.Cm config-file\nis looked for beside the file that names it.\n.Pp\n"
      "Files are read in this order: what the command line names, from left to right; after login the user's own file\n"
      ".Pq Cm user-options ,\nthen the one the administrator made for him\n.Pq Cm spool-options .\n"
      "In these two some options only may stand: it is said with each of them.\n.Pp\n"
      "All faults are reported at once, each with file and line;\n.Ql popper --check -f FILE\nshows them without starting the server.\n"
      ".Sh OPTIONS\n.Bl -tag -width Ds\n";
  for (const Option& row : kOptions) {
    out += fmt::format(".It Cm {}\n", row.name);
    out += fmt::format("{}{}: {}.\n", row.obsolete ? "(accepted with a warning) " : "", type_word(row), mdoc(row.summary));
    if (!row.mnemonics.empty()) out += fmt::format("Values: {}.\n", row.mnemonics);
    if (!row.preset.empty() && !row.obsolete) out += fmt::format("Default: {}{}.\n", row.preset, bounds(row));
    if (row.letter != 0) out += fmt::format("Flag:\n.Fl {} .\n", row.letter);
    out += mdoc(row.manual) + "\n";
    if (!who_else(row).empty()) out += fmt::format("{}\n", who_else(row));
  }
  out += ".El\n.Sh SEE ALSO\n.Xr pop.auth 5 ,\n.Xr popauth 8 ,\n.Xr popper 8\n";
  return out;
}

std::string effective_text(const Settings& settings) {
  std::string out;
  for (const Option& row : kOptions) {
    if (row.id == Opt::config_file || row.obsolete) continue;
    const auto& values = settings.list(row.id);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::string line = fmt::format("set {} = {}", row.name, quoted(values[i]));
      out += fmt::format("{:<50} # {}\n", line, settings.source(row.id, i));
    }
  }
  return out;
}

}  // namespace qpop::config
