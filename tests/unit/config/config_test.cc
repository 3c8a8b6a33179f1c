// SPDX-License-Identifier: MIT
// The configuration grammar, the command line, and the texts that are made from the table.
#include <unistd.h>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <fstream>
#include <ostream>

#include "common/config/announced.h"
#include "common/config/command_line.h"
#include "common/config/generate.h"
#include "common/config/reader.h"

namespace {

using namespace qpop::config;

/// A file name of this process, in the current folder of the test.
std::string temporary_name() { return "config_test." + std::to_string(::getpid()); }

struct LineCase {
  std::string_view name, text;
  std::string_view problem;  ///< part of the message; empty: the line is right
};
std::ostream& operator<<(std::ostream& out, const LineCase& c) { return out << c.name; }
constexpr std::array kLines{
    LineCase{"boolean without value", "set shy\n", ""},
    LineCase{"reset", "reset shy\n", ""},
    LineCase{"last line without newline", "set timeout = 300", ""},
    LineCase{"no blanks around =", "set timeout=300\n", ""},
    LineCase{"carriage return", "set timeout = 300\r\n", ""},
    LineCase{"comment behind value", "set timeout = 300 # five minutes\n", ""},
    LineCase{"hexadecimal", "set timeout = 0x12c\n", ""},
    LineCase{"octal", "set timeout = 0454\n", ""},
    LineCase{"minutes", "set timeout = 5m\n", ""},
    LineCase{"case of names and words", "SET Clear-Text-Password = TLS\n", ""},
    LineCase{"ssl is tls", "set clear-text-password = ssl\n", ""},
    LineCase{"quoted with blank", "set spool-dir = \"/a b\"\n", ""},
    LineCase{"quote in quote", "set spool-dir = 'a\\'b'\n", ""},
    LineCase{"hash inside a value", "set spool-dir = /a#b\n", ""},
    LineCase{"unknown unit", "set timeout = \"5 minuts\"\n", "unit not known; use s, m or h"},
    LineCase{"not a number", "set timeout = x\n", "want a number of seconds"},
    LineCase{"number with rest", "set max-sessions = 5x\n", "want a number"},
    LineCase{"negative", "set max-sessions = -5\n", "want a number"},
    LineCase{"out of bounds", "set timeout = 5\n", "out of bounds; least 30, most 86400"},
    LineCase{"huge", "set timeout = 99999999999999999999\n", "want a number"},
    LineCase{"overflow by unit", "set timeout = 9223372036854775807h\n", "out of bounds"},
    LineCase{"wrong word", "set clear-text-password = maybe\n", "want one of: default, never, always, local, tls"},
    LineCase{"wrong boolean", "set shy = yes\n", "want true or false"},
    LineCase{"no verb", "timeout = 3\n", "expected \"set\" or \"reset\""},
    LineCase{"unknown option near another", "set tmeout = 300\n", "unknown option \"tmeout\"; is timeout meant?"},
    LineCase{"unknown option", "set xyzzy = 300\n", "unknown option \"xyzzy\"; see"},
    LineCase{"no value", "set timeout =\n", "no value behind ="},
    LineCase{"missing value", "set timeout\n", "needs a value"},
    LineCase{"reset of a number", "reset timeout\n", "only a true-or-false option can be reset"},
    LineCase{"two values", "set timeout = 300 400\n", "expected comment or end of line"},
    LineCase{"open quote", "set spool-dir = \"/a\n", "closing quote missing"},
    LineCase{"control characters", "set spool-dir = /a\x01\n", "control characters"},
    LineCase{"missing include", "set config-file = /nonexistent/x\n", "open configuration file /nonexistent/x: No such file"},
    LineCase{"obsolete", "set server-mode = true\n", "server-mode is obsolete"},
    LineCase{"other spelling", "set UW-kluge = true\n", ""},
    LineCase{"days", "set announce-expire = 30\n", ""},
    LineCase{"never", "set announce-expire = Never\n", ""},
    LineCase{"no days", "set announce-expire = soon\n", "want a number of days, or never"},
    LineCase{"too few days", "set expire-after = 0\n", "out of bounds; least 1"},
    LineCase{"hash method", "set hash-spool = 3\n", "out of bounds; least 0, most 2"},
    LineCase{"obsolete word", "set chunky-writes = tls\n", "chunky-writes is obsolete and does nothing"},
};
BOOST_DATA_TEST_CASE(accepts_or_names_the_fault, boost::unit_test::data::make(kLines), c) {
  Settings settings;
  const auto problems = read_text(c.text, "qpopper.config", settings);
  if (c.problem.empty()) {
    BOOST_TEST(problems.empty(), (problems.empty() ? "" : problems[0].text));
  } else {
    BOOST_REQUIRE(problems.size() == 1U);
    BOOST_TEST(problems[0].text.find(c.problem) != std::string::npos, problems[0].text);
    BOOST_TEST(problems[0].text.starts_with("qpopper.config line 1"), problems[0].text);
  }
}

BOOST_AUTO_TEST_CASE(reads_values_as_meant) {
  Settings settings;
  const auto problems = read_text("set timeout = 5m\nset spool-dir = 'a\\'b'\nset listen = 110\nset listen = [::1]:995\nset shy\n", "f", settings);
  BOOST_TEST(problems.empty());
  BOOST_TEST(settings.number(Opt::timeout) == 300);
  BOOST_TEST(settings.text(Opt::spool_dir) == "a'b");
  BOOST_TEST(settings.list(Opt::listen).size() == 2U);
  BOOST_TEST(settings.boolean(Opt::shy));
  BOOST_TEST(settings.source(Opt::shy) == "f line 5");
  BOOST_TEST(settings.number(Opt::block_uid) == 10);
}

BOOST_AUTO_TEST_CASE(collects_every_fault_and_keeps_the_good_lines) {
  Settings settings;
  const auto problems = read_text("set timeout = x\nset shy\nbogus\nset nonsense = 1\n", "f", settings);
  BOOST_TEST(problems.size() == 3U);
  BOOST_TEST(settings.boolean(Opt::shy));
  BOOST_TEST(settings.number(Opt::timeout) == 600);
  BOOST_TEST(has_errors(problems));
}

BOOST_AUTO_TEST_CASE(files_that_include_themselves_end_with_an_error) {
  const std::string path = temporary_name();
  std::ofstream{path} << "set config-file = " << path << "\n";
  Settings settings;
  const auto problems = read_file(path, settings);
  (void)std::remove(path.c_str());
  BOOST_REQUIRE(problems.size() == 1U);
  BOOST_TEST(problems[0].text.find("nested more than 100 deep") != std::string::npos, problems[0].text);
}

BOOST_AUTO_TEST_CASE(command_line_counts_from_left_to_right) {
  const std::string path = temporary_name();
  std::ofstream{path} << "set timeout = 100\nset shy\n";
  const auto later = read_command_line({"-T", "50", "-f", path});
  BOOST_TEST(later.settings.number(Opt::timeout) == 100);
  const auto earlier = read_command_line({"-f", path, "-T", "50", "--shy=false"});
  BOOST_TEST(earlier.settings.number(Opt::timeout) == 50);
  BOOST_TEST(!earlier.settings.boolean(Opt::shy));
  (void)std::remove(path.c_str());
}

BOOST_AUTO_TEST_CASE(letters_of_the_original_work) {
  const auto line = read_command_line({"-s", "-S", "-T", "120", "-p", "4", "-y", "local3", "127.0.0.1:8110"});
  BOOST_TEST(!has_errors(line.problems));
  BOOST_TEST(line.settings.boolean(Opt::statistics));
  BOOST_TEST(line.settings.text(Opt::clear_text_password) == "tls");
  BOOST_TEST(line.settings.text(Opt::log_facility) == "local3");
  BOOST_TEST(line.settings.list(Opt::listen).at(0) == "127.0.0.1:8110");
  BOOST_TEST(line.has_addresses);
  const auto joined = read_command_line({"-sST90"});
  BOOST_TEST(!has_errors(joined.problems));
  BOOST_TEST(joined.settings.boolean(Opt::statistics));
  BOOST_TEST(joined.settings.number(Opt::timeout) == 90);
  BOOST_TEST(has_errors(read_command_line({"-Z"}).problems));
  BOOST_TEST(has_errors(read_command_line({"--timeout"}).problems));
  BOOST_TEST(has_errors(read_command_line({"-p", "9"}).problems));
}

BOOST_AUTO_TEST_CASE(announcements_come_with_one_flag) {
  const auto both = read_command_line({"-e", "login_delay=60,expire=30"});
  BOOST_TEST(both.problems.empty());
  BOOST_TEST(both.settings.number(Opt::announce_login_delay) == 60);
  BOOST_TEST(both.settings.number(Opt::announce_expire) == 30);
  const auto none = read_command_line({"-e", "expire,login_delay"});
  BOOST_TEST(none.problems.empty());
  BOOST_TEST(none.settings.number(Opt::announce_expire) == -1);
  BOOST_TEST(none.settings.text(Opt::announce_expire) == "never");
  BOOST_TEST(none.settings.number(Opt::announce_login_delay) == 0);
  BOOST_TEST(has_errors(read_command_line({"-e", "expiry=3"}).problems));
  BOOST_TEST(has_errors(read_command_line({"-e", "expire=x"}).problems));
}

BOOST_AUTO_TEST_CASE(the_lower_expiry_is_announced) {
  struct Case {
    std::string_view announced, deleted;
    std::int32_t want;
  };
  for (const auto& c : {Case{"never", "never", -1}, Case{"30", "never", 30}, Case{"never", "60", 60}, Case{"30", "60", 30}, Case{"60", "30", 30}, Case{"0", "30", 0}}) {
    Settings settings;
    BOOST_TEST(settings.set(option(Opt::announce_expire), c.announced, "test").has_value());
    BOOST_TEST(settings.set(option(Opt::expire_after), c.deleted, "test").has_value());
    BOOST_TEST(announced_expiry(settings) == c.want, c.announced << " " << c.deleted);
  }
}

BOOST_AUTO_TEST_CASE(flags_with_a_sense_of_their_own) {
  const auto line = read_command_line({"-R", "-sd", "-t", "/var/log/pop.trace", "-b", "/var/spool/bulls", "-uU", "-V", "-x", "-SV", "-k", "-K", "pop", "-D", "host", "-B", "-L", "9"});
  BOOST_TEST(!has_errors(line.problems));
  BOOST_TEST(!line.settings.boolean(Opt::reverse_lookup));
  BOOST_TEST(line.settings.source(Opt::reverse_lookup) == "command line");
  BOOST_TEST(line.settings.boolean(Opt::debug));
  BOOST_TEST(line.settings.text(Opt::tracefile) == "/var/log/pop.trace");
  BOOST_TEST(line.settings.text(Opt::bulldir) == "/var/spool/bulls");
  BOOST_TEST(line.settings.boolean(Opt::user_options));
  BOOST_TEST(line.settings.boolean(Opt::spool_options));
  // Three forgotten flags, and six obsolete ones.
  BOOST_TEST(line.problems.size() == 9U);
  BOOST_TEST(read_command_line({"-t", "/x"}).settings.boolean(Opt::debug));
  BOOST_TEST(read_command_line({"-st/x"}).settings.boolean(Opt::debug));
  BOOST_TEST(read_command_line({"-st/x"}).settings.text(Opt::tracefile) == "/x");
  BOOST_TEST(!read_command_line({"--tracefile=/x"}).settings.boolean(Opt::debug));
  BOOST_TEST(read_command_line({"--reverse-lookup"}).settings.boolean(Opt::reverse_lookup));
}

BOOST_AUTO_TEST_CASE(recover_takes_one_user_or_all) {
  const auto user_of = [](const std::vector<std::string>& arguments) {
    const auto line = read_command_line(arguments);
    BOOST_TEST(!has_errors(line.problems));
    BOOST_TEST((line.action == Action::recover));
    BOOST_TEST(!line.has_addresses);
    return line.recover_user;
  };
  BOOST_TEST(user_of({"--recover"}).empty());
  BOOST_TEST(user_of({"--recover", "all"}).empty());
  BOOST_TEST(user_of({"--recover", "-s"}).empty());
  BOOST_TEST(user_of({"-s", "--recover", "ada"}) == "ada");
  BOOST_TEST(user_of({"--recover=ada", "-T", "50"}) == "ada");
  BOOST_TEST(has_errors(read_command_line({"--recover", "ada", "bob"}).problems));
  BOOST_TEST(has_errors(read_command_line({"--recover", "--recover"}).problems));
  BOOST_TEST(has_errors(read_command_line({"--recover="}).problems));
}

BOOST_AUTO_TEST_CASE(each_value_of_a_list_knows_its_line) {
  Settings settings;
  BOOST_TEST(settings.source(Opt::listen) == "default");
  BOOST_TEST(read_text("set listen = 110\nset timeout = 5m\nset listen = 995\n", "f", settings).empty());
  BOOST_TEST(settings.source(Opt::listen, 0) == "f line 1");
  BOOST_TEST(settings.source(Opt::listen, 1) == "f line 3");
  BOOST_TEST(settings.source(Opt::listen) == "f line 3");
  BOOST_TEST(settings.source(Opt::timeout) == "f line 2");
  for (const auto* printed : {"# f line 1\n", "# f line 3\n"}) BOOST_TEST(effective_text(settings).find(printed) != std::string::npos, printed);
}

BOOST_AUTO_TEST_CASE(what_is_printed_reads_back_the_same) {
  Settings first;
  BOOST_TEST(read_text("set timeout = 5m\nset listen = 110\nset listen = 995\nset spool-dir = \"/a b\"\nset server-name = \"\"\n", "f", first).empty());
  Settings second;
  BOOST_TEST(read_text(effective_text(first), "printed", second).empty());
  for (const Option& row : kOptions) BOOST_TEST(first.list(row.id) == second.list(row.id), row.name);
}

BOOST_AUTO_TEST_CASE(sample_holds_every_option_and_changes_nothing) {
  const auto sample = sample_text();
  Settings untouched;
  BOOST_TEST(read_text(sample, "sample", untouched).empty());
  std::string active;
  for (std::size_t at = 0; at < sample.size();) {
    const auto end = sample.find('\n', at);
    auto line = sample.substr(at, end - at);
    if (line.starts_with("# set ")) active += line.substr(2) + "\n";
    at = end + 1;
  }
  Settings settings;
  const auto problems = read_text(active, "sample", settings);
  for (const auto& problem : problems) BOOST_TEST((problem.text.find("open configuration") != std::string::npos), problem.text);
  for (const Option& row : kOptions) {
    if (!row.obsolete) BOOST_TEST(sample.find("\n# set " + std::string{row.name} + " = ") != std::string::npos, row.name);
    BOOST_TEST(manual_text().find(".It Cm " + std::string{row.name} + "\n") != std::string::npos, row.name);
    if (row.id != Opt::config_file) BOOST_TEST(help_text().find("--" + std::string{row.name}) != std::string::npos, row.name);
  }
}

}  // namespace
