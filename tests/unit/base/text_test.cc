// SPDX-License-Identifier: MIT
// Byte-level text helpers.
#include "common/base/text.h"

#include <array>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>

namespace {

using namespace qpop::base;

struct NumberCase {
  std::string_view text;
  bool ok;
  std::uint64_t want;
};
std::ostream& operator<<(std::ostream& out, const NumberCase& c) { return out << '"' << c.text << '"'; }
constexpr std::array kNumbers{
    NumberCase{"0", true, 0},     NumberCase{"007", true, 7}, NumberCase{"18446744073709551615", true, UINT64_MAX},
    NumberCase{"", false, 0},     NumberCase{"-1", false, 0}, NumberCase{"18446744073709551616", false, 0},
    NumberCase{"+1", false, 0},   NumberCase{"1 ", false, 0}, NumberCase{"0x10", false, 0},
    NumberCase{"1e3", false, 0},
};
BOOST_DATA_TEST_CASE(reads_or_refuses_decimal, boost::unit_test::data::make(kNumbers), c) {
  const auto got = parse_decimal(c.text);
  BOOST_TEST(got.has_value() == c.ok);
  if (got) BOOST_TEST(*got == c.want);
}

struct Utf8Case {
  std::string_view name, bytes;
  bool want;
};
std::ostream& operator<<(std::ostream& out, const Utf8Case& c) { return out << c.name; }
constexpr std::array kUtf8{
    Utf8Case{"ascii", "ada", true},
    Utf8Case{"two octets", "\xC3\xA4", true},
    Utf8Case{"four octets", "\xF0\x9F\x93\xAC", true},
    Utf8Case{"overlong slash", "\xC0\xAF", false},
    Utf8Case{"surrogate", "\xED\xA0\x80", false},
    Utf8Case{"above U+10FFFF", "\xF4\x90\x80\x80", false},
    Utf8Case{"cut", "\xC3", false},
    Utf8Case{"lone continuation", "\x80", false},
    Utf8Case{"C1 control", "\xC2\x9B", false},
    Utf8Case{"first letter behind C1", "\xC2\xA0", true},
    Utf8Case{"escape character", "a\x1B[2J", false},
    Utf8Case{"delete character", "a\x7F", false},
};
BOOST_DATA_TEST_CASE(accepts_only_printable_utf8, boost::unit_test::data::make(kUtf8), c) {
  BOOST_TEST(is_printable_utf8(c.bytes) == c.want);
}

BOOST_AUTO_TEST_CASE(escaping_leaves_no_control_byte_and_respects_the_limit) {
  BOOST_TEST(escape_untrusted("a\r\nb\\") == "a\\x0d\\x0ab\\x5c");
  const std::string long_name(5000, '\xFF');
  BOOST_TEST(escape_untrusted(long_name, 40).size() <= 43U);
}

BOOST_AUTO_TEST_CASE(a_json_string_is_utf8_whatever_goes_in) {
  struct Case {
    std::string_view bytes, want;
    bool utf8 = true;
  };
  for (const auto& [bytes, want, utf8] : {Case{"", R"("")"}, Case{"a\"b\\c", R"("a\"b\\c")"}, Case{"\x01\n\x7f", R"("\u0001\u000a\u007f")"},
                                          Case{"b\xC3\xBC\xF0\x9F\x93\xAE", "\"b\xC3\xBC\xF0\x9F\x93\xAE\""}, Case{"\xC2\x9B\xC2\xA0", "\"\\u009b\xC2\xA0\""},
                                          Case{"b\xFC\xC3", R"("b\ufffd\ufffd")", false}, Case{"\xED\xA0\x80", R"("\ufffd\ufffd\ufffd")", false},
                                          Case{"\xC0\xAF", R"("\ufffd\ufffd")", false}, Case{"\xEF\xBF\xBD", "\"\xEF\xBF\xBD\""}}) {
    BOOST_TEST(json_string(bytes) == want);
    BOOST_TEST(is_utf8(bytes) == utf8, want);
  }
}

BOOST_AUTO_TEST_CASE(ignores_case_of_ascii_only) {
  BOOST_TEST(equal_ignoring_case("QuIt", "qUiT"));
  BOOST_TEST(!equal_ignoring_case("\xC4", "\xE4"));
  BOOST_TEST(!equal_ignoring_case("QUIT", "QUI"));
  BOOST_TEST(trim(" \t a b \t") == "a b");
  BOOST_TEST(trim(" \t ").empty());
}

BOOST_AUTO_TEST_CASE(words_stand_between_blanks) {
  using Words = std::vector<std::string_view>;
  BOOST_TEST(words("").empty());
  BOOST_TEST(words("   ").empty());
  BOOST_TEST((words("one") == Words{"one"}));
  BOOST_TEST((words("  one two\tthree  four ") == Words{"one", "two\tthree", "four"}));
}

BOOST_AUTO_TEST_CASE(one_slash_stands_between_folder_and_name) {
  BOOST_TEST(path_in("/var/mail", "ada") == "/var/mail/ada");
  BOOST_TEST(path_in("/var/mail/", "ada") == "/var/mail/ada");
  BOOST_TEST(path_in("/", "ada") == "/ada");
  BOOST_TEST(path_in(".", "ada") == "./ada");
  BOOST_TEST(without_end_slashes("/var/mail//") == "/var/mail");
  BOOST_TEST(without_end_slashes("/") == "/");
  BOOST_TEST(without_end_slashes("//") == "/");
  BOOST_TEST(without_end_slashes("").empty());
}

BOOST_AUTO_TEST_CASE(names_of_hosts_have_no_other_characters) {
  for (const std::string_view name : {"a", "client.example.org", "192-0-2-1.Example", "-", "."}) BOOST_TEST(is_host_name(name), name);
  for (const std::string_view name : {"", "a b", "a)", "a_b", "\xC3\xA4.example", "a\n"}) BOOST_TEST(!is_host_name(name), name);
  BOOST_TEST(is_host_name(std::string(255, 'a')));
  BOOST_TEST(!is_host_name(std::string(256, 'a')));
}

}  // namespace
