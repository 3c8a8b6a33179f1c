// SPDX-License-Identifier: MIT
// Command lines: the same lines for every cut, and nothing beyond the limit.
#include "common/pop3/command.h"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace {

using namespace qpop::pop3;
using Event = LineReader::Event;

/// What came out of a reader: lines as they are, an over-long one as "<long>".
std::vector<std::string> read_all(std::string_view bytes, std::size_t piece) {
  LineReader reader;
  std::vector<std::string> out;
  while (!bytes.empty()) {
    auto part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    while (!part.empty()) {
      const auto [event, consumed] = reader.feed(part);
      part.remove_prefix(consumed);
      if (event == Event::line) out.emplace_back(reader.line());
      if (event == Event::too_long) out.emplace_back("<long>");
    }
  }
  return out;
}

BOOST_AUTO_TEST_CASE(gives_the_same_lines_for_every_cut) {
  const std::string input = "USER ada\r\nPASS  x \n\r\nNOOP\r\r\n" + std::string(253, 'a') + "\r\n" + std::string(254, 'b') + "\r\nQUIT\r\n";
  const std::vector<std::string> want{"USER ada", "PASS  x ", "", "NOOP\r", std::string(253, 'a'), "<long>", "QUIT"};
  for (std::size_t piece = 1; piece <= input.size(); ++piece) {
    const auto got = read_all(input, piece);
    BOOST_TEST(got == want, "pieces of " << piece);
  }
}

BOOST_AUTO_TEST_CASE(gives_up_a_line_that_does_not_end) {
  LineReader reader;
  const std::string block(64 * 1024, 'x');
  int blocks = 0;
  while (reader.feed(block).event == Event::need_more) BOOST_REQUIRE(++blocks < 32);
  BOOST_TEST(blocks >= 15);
}

BOOST_AUTO_TEST_CASE(wiping_leaves_nothing_of_a_password) {
  LineReader reader;
  reader.feed("PASS secret\r\n");
  const char* place = reader.line().data();
  reader.wipe();
  BOOST_TEST(std::string(place, 11) == std::string(11, '\0'));
}

struct CommandCase {
  std::string_view line;
  Verb verb;
  std::string_view argument;
  std::size_t words;
};
std::ostream& operator<<(std::ostream& out, const CommandCase& c) { return out << '"' << c.line << '"'; }
constexpr std::array kCommands{
    CommandCase{"quit", Verb::quit, "", 0},
    CommandCase{"PASS  two blanks ", Verb::pass, " two blanks ", 2},
    CommandCase{"TOP 1\t2", Verb::top, "1\t2", 2},
    CommandCase{"RETR  1  ", Verb::retr, " 1  ", 1},
    CommandCase{"QUITE", Verb::unknown, "", 0},
    CommandCase{"QUI", Verb::unknown, "", 0},
    CommandCase{" QUIT", Verb::unknown, "QUIT", 1},
    CommandCase{"", Verb::unknown, "", 0},
    CommandCase{"get / HTTP/1.0", Verb::http, "/ HTTP/1.0", 2},
    CommandCase{"LIST 1 2 3 4 5 6", Verb::list, "1 2 3 4 5 6", 4},
};
BOOST_DATA_TEST_CASE(names_verb_and_arguments, boost::unit_test::data::make(kCommands), c) {
  const auto got = parse_command(c.line);
  BOOST_TEST((got.verb == c.verb));
  BOOST_TEST(got.argument == c.argument);
  BOOST_TEST(got.word_count == c.words);
}

BOOST_AUTO_TEST_CASE(notices_octets_that_are_no_text) {
  BOOST_TEST(parse_command(std::string_view{"USER a\0b", 8}).has_nul);
  BOOST_TEST(parse_command("USER \xFF").bad_utf8);
  BOOST_TEST(parse_command("USER \x1B[0m").bad_utf8);
  BOOST_TEST(!parse_command("USER \xC3\xA4").bad_utf8);
}

struct NumberCase {
  std::string_view word;
  Number::Kind kind;
  std::uint32_t value;
};
std::ostream& operator<<(std::ostream& out, const NumberCase& c) { return out << '"' << c.word << '"'; }
constexpr std::array kNumbers{
    NumberCase{"1", Number::Kind::ok, 1},
    NumberCase{"4294967295", Number::Kind::ok, 4294967295U},
    NumberCase{"4294967296", Number::Kind::too_large, 0},
    NumberCase{"00000000000000000000000000000001", Number::Kind::ok, 1},
    NumberCase{"-1", Number::Kind::not_a_number, 0},
    NumberCase{"", Number::Kind::not_a_number, 0},
    NumberCase{"1.0", Number::Kind::not_a_number, 0},
};
BOOST_DATA_TEST_CASE(reads_message_numbers, boost::unit_test::data::make(kNumbers), c) {
  const auto got = parse_number(c.word);
  BOOST_TEST((got.kind == c.kind));
  BOOST_TEST(got.value == c.value);
}

}  // namespace
