// SPDX-License-Identifier: MIT
// Damaged From_ lines, and what is made of them.
#include "common/check/postmark.h"

#include <array>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>

#include "common/mbox/from_line.h"

namespace {

using namespace qpop::check;

constexpr std::string_view kHeader =
    "Return-Path: <ada@example.org>\nReceived: from a by b with SMTP id 1;\n\tFri, 29 Nov 2024 10:11:12 +0000\nFrom: Ada <other@example.org>\nDate: Thu, 1 Feb 2001 01:02:03 +0000\n\n";

struct Case {
  std::string_view name, line, flaw, made;
  friend std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }
};
constexpr std::array kCases{
    Case{"no year", "From bob Thu Nov 28 01:02:03", "no year", "From bob Thu Nov 28 01:02:03 2024\n"},
    Case{"no date", "From bob@b", "no date", "From bob@b Fri Nov 29 10:11:12 2024\n"},
    Case{"no sender", "From ", "no date", "From ada@example.org Fri Nov 29 10:11:12 2024\n"},
    Case{"no time", "From bob Thu Nov 28 2024", "no time of day", "From bob Thu Nov 28 10:11:12 2024\n"},
    Case{"no weekday", "From bob Nov 28 01:02:03 2024", "no day of the week", "From bob Thu Nov 28 01:02:03 2024\n"},
    Case{"one octet of the month", "From bob Thu Nqv 28 01:02:03 2024", "a date that cannot be read", "From bob Thu Nov 28 01:02:03 2024\n"},
    Case{"impossible day", "From bob Thu Nov 99 01:02:03 2024", "no month and day", "From bob Fri Nov 29 01:02:03 2024\n"},
    Case{"control octets in the sender", "From b\x02ob Thu Nov 28 01:02:03", "no year", "From bob Thu Nov 28 01:02:03 2024\n"},
};

BOOST_DATA_TEST_CASE(makes_the_line_anew, kCases, c) {
  const auto guess = guess_postmark(c.line);
  BOOST_TEST(guess.flaw == c.flaw);
  const auto header = read_header(kHeader, true);
  BOOST_TEST(header.certain());
  const auto made = make_postmark(&guess, header, {.year = 1970, .month = 1, .day = 1, .time = "00:00:00"});
  BOOST_TEST(made == c.made);
  BOOST_TEST(qpop::mbox::is_from_line(std::string_view{made}.substr(0, made.size() - 1)));
}

BOOST_AUTO_TEST_CASE(what_is_not_known_comes_from_the_fallback) {
  const auto made = make_postmark(nullptr, {}, {.year = 2026, .month = 11, .day = 25, .time = "12:00:00"});
  BOOST_TEST(made == "From MAILER-DAEMON Wed Nov 25 12:00:00 2026\n");
}

BOOST_AUTO_TEST_CASE(a_field_behind_the_date_is_found) {
  const std::string_view line = "From bob Thu Nov 28 01:02:03 2024\x0bReturn-Path: <a>";
  BOOST_TEST(guess_postmark(line).field_at == line.find("Return"));
  BOOST_TEST(guess_postmark("From bob Thu Nov 28 01:02:03 2024").field_at == 0U);
}

BOOST_AUTO_TEST_CASE(the_word_alone_may_be_damaged) {
  for (const auto* line : {"Frnm bob Thu Nov 28 01:02:03 2024", "rom bob Thu Nov 28 01:02:03 2024", "Fro bob Thu Nov 28 01:02:03 2024", "From\x02""bob Thu Nov 28 01:02:03 2024"})
    BOOST_TEST(guess_postmark(line).only_start, line);
  BOOST_TEST(!guess_postmark("Form boob Thu Nov 28 01:02:03 2024").only_start);
  BOOST_TEST(!guess_postmark("Date: Thu Nov 28 01:02:03 2024").only_start);
}

BOOST_AUTO_TEST_CASE(header_lines_are_read_as_far_as_they_are_some) {
  BOOST_TEST(!read_header("text: no, a sentence\n\n", true).strong());
  BOOST_TEST(!read_header("no field\nSubject: x\nFrom: y\n\n", true).begins);
  const auto cut = read_header("Subject: x\nFrom: y\n", false);
  BOOST_TEST(cut.strong());
  BOOST_TEST(!cut.complete);
  const auto counted = read_header("Subject: x\nContent-Length: 77\n\nbody", false);
  BOOST_TEST(counted.content_length.value_or(0) == 77U);
  BOOST_TEST(counted.value_at == 27U);
  BOOST_TEST(counted.length == 31U);
  BOOST_TEST(!read_header("Content-Length: 1\nContent-Length: 2\n\n", true).content_length.has_value());
  BOOST_TEST(read_header("Content-Type: multipart/x;\n\tname=y;\n\tboundary=\"a b\"\n\n", true).boundary == "a b");
  // A From_ line and a separator of MMDF are no part of a damaged header.
  BOOST_TEST(read_header("Subject: x\nFrom a Thu Nov 28 01:02:03 2024\nTo: y\n\n", true).lines == 1U);
  BOOST_TEST(read_header("Subject: x\n\x01\x01\x01\x01\nTo: y\n\n", true).lines == 1U);
}

}  // namespace
