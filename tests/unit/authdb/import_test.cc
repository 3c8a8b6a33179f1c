// SPDX-License-Identifier: MIT
// Parsers of other programs' secrets: every line gives an entry that can be used, or the reason why not.
#include <boost/test/unit_test.hpp>
#include <random>

#include "popauth/import_formats.h"

namespace {

using namespace qpop::popauth;

struct GuessCase {
  const char* name;
  std::string_view text;
  Format want;
};
constexpr GuessCase kGuesses[] = {
    {"empty", "", Format::text},
    {"pairs", "ada:x\nbob: y\n", Format::text},
    {"every colon with a blank", "# c\nada: x\nbob: y\n", Format::mailutils},
    {"one scheme", "ada:x\nbob:{PLAIN}y:::\n", Format::dovecot},
    {"a brace that is no scheme", "ada:{x\n", Format::text},
    {"solid-pop3d", "MailDrop a mailbox\napopsecret 00 \n", Format::solid_pop3d},
};

BOOST_AUTO_TEST_CASE(files_of_others_are_not_taken_for_passwords) {
  for (const auto* text : {"root:x:0:0:root:/root:/bin/bash\n", "ada:secret\nbob:$6$salt$hash\n", "daemon:*:20782:0:99999:7:::\n", "eve:!\n",
                           "# POP accounts: name:kinds and state:created:changed (seconds since 1970); no secrets\nada:SCRAM,enabled:1:1\n"})
    BOOST_TEST(!doubt_about_text(text).empty(), text);
  for (const auto* text : {"", "# a comment: of mine: all\nada:secret\nbob: with blanks in it \n", "ada:with$sign: and !\n", "ada:x\n"}) BOOST_TEST(doubt_about_text(text) == "", text);
}

BOOST_AUTO_TEST_CASE(formats_are_guessed) {
  for (const auto& c : kGuesses) BOOST_TEST((guess_text_format(c.text) == c.want), c.name);
  for (const auto format : {Format::qpopper, Format::mailutils, Format::solid_pop3d, Format::dovecot, Format::text}) {
    BOOST_TEST((format_of_name(name_of(format)) == format));
  }
  BOOST_TEST(!format_of_name("gdbm"));
}

struct LineCase {
  const char* name;
  Format format;
  std::string line;
  std::string_view user, password;
  std::string_view problem;  // part of it; empty: usable
};
const LineCase kLines[] = {
    {"pair", Format::text, "ada:secret", "ada", "secret", ""},
    {"blanks belong to it", Format::text, "ada: a:b ", "ada", " a:b ", ""},
    {"CR LF", Format::text, "ada:secret\r", "ada", "secret", ""},
    {"trimmed", Format::mailutils, " ada : secret ", "ada", "secret", ""},
    {"no colon", Format::text, "ada", "", "", "no colon"},
    {"no password", Format::text, "ada:", "ada", "", "no password"},
    {"no name", Format::text, ":x", "", "", "not an acceptable user name"},
    {"bad name", Format::text, "a/b:x", "a/b", "", "not an acceptable user name"},
    {"CR inside", Format::text, "ada:a\rb", "ada", "", "holds NUL, CR or LF"},
    {"plain", Format::dovecot, "ada:{plain}secret:1000", "ada", "secret", ""},
    {"cram-md5 cut", Format::dovecot, "ada:{CRAM-MD5}bc85", "ada", "", "CRAM-MD5 without its 64"},
    {"cram-md5 no digits", Format::dovecot, "ada:{CRAM-MD5}" + std::string(64, 'g'), "ada", "",
     "CRAM-MD5 without its 64"},
    {"cram-md5 as crypt", Format::dovecot, "ada:{CRYPT}{CRAM-MD5}" + std::string(64, 'a'), "ada", "",
     "not a crypt(3) string"},
    {"unknown scheme", Format::dovecot, "ada:{SSHA}x", "ada", "", "scheme {SSHA}"},
    {"hostile scheme", Format::dovecot, "ada:{\x1b[2J}x", "ada", "", "\\x1b"},
    {"short crypt", Format::dovecot, "ada:{CRYPT}x", "ada", "", "not a crypt(3) string"},
    {"solid", Format::solid_pop3d, "APOPSecret 9e9d", "owner", "ab", ""},
    {"solid upper case", Format::solid_pop3d, "apopsecret 9E9D ", "owner", "ab", ""},
    {"solid mailbox", Format::solid_pop3d, "APOPSecret 9e9d box", "owner", "", "a mailbox of its own"},
    {"solid odd", Format::solid_pop3d, "APOPSecret 9e9", "owner", "", "not hexadecimal"},
    {"solid empty", Format::solid_pop3d, "APOPSecret ", "owner", "", "no password"},
};

BOOST_AUTO_TEST_CASE(lines) {
  for (const auto& c : kLines) {
    const auto entries = parse_text(c.format, c.line + "\n", "owner");
    BOOST_REQUIRE_MESSAGE(entries.size() == 1, c.name);
    const auto& entry = entries[0];
    BOOST_TEST(entry.where == "line 1");
    BOOST_TEST(entry.name == c.user, c.name);
    BOOST_TEST(entry.password.view() == c.password, c.name);
    BOOST_TEST(entry.problem.empty() == c.problem.empty(), c.name << ": " << entry.problem);
    BOOST_TEST(entry.problem.find(c.problem) != std::string::npos, c.name << ": " << entry.problem);
  }
  BOOST_TEST(parse_text(Format::text, "ada:" + std::string(256, 'p'), "")[0].problem ==
             "password longer than 255 octets");
  BOOST_TEST(parse_text(Format::text, "ada:" + std::string(255, 'p'), "")[0].problem.empty());
}

BOOST_AUTO_TEST_CASE(only_the_right_fields_of_a_passwd_file_count) {
  const auto entries = parse_text(Format::dovecot,
                                  "ada:{PLAIN}x:1:1:nologin:/nologin:nologin:quota=1 nologin=y\n"
                                  "bob:{PLAIN}x:1:1:nologin:/nologin:nologin:quota=nologin\n",
                                  "");
  BOOST_REQUIRE(entries.size() == 2);
  BOOST_TEST(entries[0].disabled);
  BOOST_TEST(!entries[1].disabled);
}

struct RecordCase {
  const char* name;
  std::string_view key, value, user, password, problem;
};
using namespace std::string_view_literals;
constexpr RecordCase kRecords[] = {
    {"qpopper", "ada\0"sv, "\x9e\x9d\0"sv, "ada", "ab", ""},
    {"qpopper with SCRAM", "ada\0"sv, "\x9e\x9d\0c2Ny\0"sv, "ada", "ab", ""},
    {"qpopper, only SCRAM", "ada\0"sv, "\0c2Ny\0"sv, "ada", "", "only a SCRAM-MD5"},
    {"qpopper, no APOP", "ada\0"sv, "\0"sv, "ada", "", "no password"},
    {"qpopper, very old", "ada\0"sv, "ab\0"sv, "ada", "ab", ""},
    {"qpopper, no NUL in the value", "ada\0"sv, "\x9e"sv, "ada", "a", ""},
    {"mailutils", "ada"sv, "ab"sv, "ada", "ab", ""},
    {"mailutils, colon kept", "ada:"sv, "ab"sv, "ada", "ab", ""},
    {"mailutils, 8-bit password", "ada"sv, "\xC3\xBC"sv, "ada", "\xC3\xBC", ""},
    {"NUL inside a name", "a\0b\0"sv, "\x9e\0"sv, "a\0b"sv, "", "not an acceptable"},
    {"empty", ""sv, ""sv, "", "", "no password"},
};

BOOST_AUTO_TEST_CASE(records) {
  for (const auto& c : kRecords) {
    const auto entry = parse_record(c.key, c.value, 3);
    BOOST_TEST(entry.where == "record 3");
    BOOST_TEST(entry.name == c.user, c.name);
    BOOST_TEST(entry.password.view() == c.password, c.name);
    BOOST_TEST(entry.problem.find(c.problem) != std::string::npos, c.name << ": " << entry.problem);
    BOOST_TEST(entry.problem.empty() == c.problem.empty(), c.name << ": " << entry.problem);
  }
}

BOOST_AUTO_TEST_CASE(an_entry_has_one_thing_only) {
  std::mt19937 random{11};
  constexpr std::string_view kOctets{":{}$,\n\r\0PLAINCRYPTSHA-256=6ab+/ \xff", 34};
  for (int i = 0; i < 4000; ++i) {
    std::string text(random() % 200, '\0');
    for (auto& c : text) c = kOctets[random() % kOctets.size()];
    for (const auto format : {Format::mailutils, Format::solid_pop3d, Format::dovecot, Format::text}) {
      for (const auto& entry : parse_text(format, text, "owner")) {
        const int things =
            !entry.password.empty() + entry.scram.has_value() + !entry.crypt.empty() + !entry.problem.empty();
        BOOST_REQUIRE(things >= 1);
        if (entry.problem.empty()) BOOST_REQUIRE(things == 1);
      }
    }
  }
}

}  // namespace
