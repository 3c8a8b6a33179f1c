// SPDX-License-Identifier: MIT
// Which lines are postmarks: the forms of Qpopper, RFC 4155 and what lies in old spools.
#include "common/mbox/from_line.h"

#include <array>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>

namespace {

using qpop::mbox::parse_from_line;

struct Accepted {
  std::string_view name, line, want_sender, want_date;
  friend std::ostream& operator<<(std::ostream& out, const Accepted& c) { return out << c.name; }
};

constexpr std::array kAccepted{
    Accepted{"asctime", "From ada@example.org Thu Nov 29 23:33:09 1973", "ada@example.org", "Thu Nov 29 23:33:09 1973"},
    Accepted{"no seconds", "From user Wed Dec  2 05:53 1992", "user", "Wed Dec  2 05:53 1992"},
    Accepted{"zone name before year", "From user Wed Dec  2 05:53:22 PST 1992", "user", "Wed Dec  2 05:53:22 PST 1992"},
    Accepted{"offset before year", "From user Wed Dec  2 05:53:22 -0700 1992", "user",
             "Wed Dec  2 05:53:22 -0700 1992"},
    Accepted{"zone name after year", "From user Wed Dec  2 05:53:22 1992 PST", "user", "Wed Dec  2 05:53:22 1992 PST"},
    Accepted{"offset after year", "From user Wed Dec  2 05:53:22 1992 +0130", "user", "Wed Dec  2 05:53:22 1992 +0130"},
    Accepted{"offset after year, no seconds", "From user Wed Dec  2 05:53 1992 -0700", "user",
             "Wed Dec  2 05:53 1992 -0700"},
    Accepted{"remote", "From user Wed Dec  2 05:53:22 1992 remote from xxx", "user", "Wed Dec  2 05:53:22 1992"},
    Accepted{"zone and remote", "From u Wed Dec  2 05:53 1992 PST remote from h", "u", "Wed Dec  2 05:53 1992 PST"},
    Accepted{"four-letter zone", "From u Wed Jul  2 05:53:22 CEST 2025", "u", "Wed Jul  2 05:53:22 CEST 2025"},
    Accepted{"two-word zone", "From u Wed Jul  2 05:53:22 MET DST 1992", "u", "Wed Jul  2 05:53:22 MET DST 1992"},
    Accepted{"day with one blank", "From u Wed Dec 2 05:53:22 1992", "u", "Wed Dec 2 05:53:22 1992"},
    Accepted{"day with a zero", "From u Wed Dec 02 05:53:22 1992", "u", "Wed Dec 02 05:53:22 1992"},
    Accepted{"two blanks behind the sender", "From u  Wed Dec  2 05:53:22 1992", "u", "Wed Dec  2 05:53:22 1992"},
    Accepted{"tab behind the sender", "From u\tWed Dec  2 05:53:22 1992", "u", "Wed Dec  2 05:53:22 1992"},
    Accepted{"no sender", "From Wed Dec  2 05:53:22 1992", "", "Wed Dec  2 05:53:22 1992"},
    Accepted{"no sender, two blanks", "From  Wed Dec  2 05:53:22 1992", "", "Wed Dec  2 05:53:22 1992"},
    Accepted{"blanks and quotes", "From \"Ada L\" <a@b> Wed Dec  2 05:53:22 1992", "\"Ada L\" <a@b>",
             "Wed Dec  2 05:53:22 1992"},
    Accepted{"null sender", "From MAILER-DAEMON Sat Jan  3 01:05:34 1996", "MAILER-DAEMON", "Sat Jan  3 01:05:34 1996"},
    Accepted{"weekday as sender", "From Mon Mon Jan  1 00:00:00 2024", "Mon", "Mon Jan  1 00:00:00 2024"},
    Accepted{"date as sender", "From Mon Jan  1 00:00:00 2024 x Tue Feb  2 01:02:03 2024", "Mon Jan  1 00:00:00 2024 x",
             "Tue Feb  2 01:02:03 2024"},
    Accepted{"after 2038", "From u Wed Dec  2 05:53:22 2099", "u", "Wed Dec  2 05:53:22 2099"},
    Accepted{"leap second", "From u Sat Dec 31 23:59:60 2016", "u", "Sat Dec 31 23:59:60 2016"},
    Accepted{"CR at the end", "From u Wed Dec  2 05:53:22 1992\r", "u", "Wed Dec  2 05:53:22 1992"},
    Accepted{"blanks at the end", "From u Wed Dec  2 05:53:22 1992  ", "u", "Wed Dec  2 05:53:22 1992"},
    Accepted{"8-bit sender", "From \xC3\xA4@example.org Wed Dec  2 05:53:22 1992", "\xC3\xA4@example.org",
             "Wed Dec  2 05:53:22 1992"},
};

BOOST_DATA_TEST_CASE(accepts_postmark, kAccepted, c) {
  const auto got = parse_from_line(c.line);
  BOOST_REQUIRE(got.has_value());
  BOOST_TEST(got->sender == c.want_sender);
  BOOST_TEST(got->date == c.want_date);
}

struct Refused {
  std::string_view name, line;
  friend std::ostream& operator<<(std::ostream& out, const Refused& c) { return out << c.name; }
};

constexpr std::array kRefused{
    Refused{"empty", ""},
    Refused{"word alone", "From "},
    Refused{"header field", "From: ada@example.org Thu Nov 29 23:33:09 1973"},
    Refused{"lower case", "from ada@example.org Thu Nov 29 23:33:09 1973"},
    Refused{"quoted", ">From ada@example.org Thu Nov 29 23:33:09 1973"},
    Refused{"prose", "From there we went on Thu to the sea"},
    Refused{"no such weekday", "From u Thx Nov 29 23:33:09 1973"},
    Refused{"no such month", "From u Thu Nox 29 23:33:09 1973"},
    Refused{"day 0", "From u Thu Nov 0 23:33:09 1973"},
    Refused{"day 32", "From u Thu Nov 32 23:33:09 1973"},
    Refused{"hour 24", "From u Thu Nov 29 24:33:09 1973"},
    Refused{"minute 60", "From u Thu Nov 29 23:60:09 1973"},
    Refused{"second 61", "From u Thu Nov 29 23:33:61 1973"},
    Refused{"no year", "From u Thu Nov 29 23:33:09"},
    Refused{"year of two digits", "From u Thu Nov 29 23:33:09 73"},
    Refused{"year of five digits", "From u Thu Nov 29 23:33:09 19731"},
    Refused{"year 0", "From u Thu Nov 29 23:33:09 0000"},
    Refused{"words behind the date", "From u Thu Nov 29 23:33:09 1973 and then"},
    Refused{"remote from nowhere", "From u Thu Nov 29 23:33:09 1973 remote from "},
    Refused{"offset too long", "From u Thu Nov 29 23:33:09 1973 +01000"},
    Refused{"offset too short", "From u Thu Nov 29 23:33:09 1973 +010"},
    Refused{"two zones", "From u Thu Nov 29 23:33:09 PST 1973 PST"},
    Refused{"weekday inside the sender", "From uThu Nov 29 23:33:09 1973"},
};

BOOST_DATA_TEST_CASE(refuses_postmark, kRefused, c) {
  BOOST_TEST(!parse_from_line(c.line).has_value());
}

BOOST_AUTO_TEST_CASE(a_line_longer_than_the_limit_is_no_postmark) {
  const std::string date = " Thu Nov 29 23:33:09 1973";
  const std::string start = "From ";
  const std::string fits = start + std::string(qpop::mbox::kMaxPostmark - start.size() - date.size(), 'x') + date;
  BOOST_TEST(fits.size() == qpop::mbox::kMaxPostmark);
  BOOST_TEST(parse_from_line(fits).has_value());
  BOOST_TEST(parse_from_line(fits + "\r").has_value());
  BOOST_TEST(!parse_from_line("From x" + fits.substr(5)).has_value());
}

BOOST_AUTO_TEST_CASE(nul_octets_belong_to_the_sender) {
  using namespace std::string_view_literals;
  const auto got = parse_from_line("From a\0b Thu Nov 29 23:33:09 1973"sv);
  BOOST_REQUIRE(got.has_value());
  BOOST_TEST(got->sender == "a\0b"sv);
}

}  // namespace
