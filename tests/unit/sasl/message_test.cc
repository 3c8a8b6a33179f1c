// SPDX-License-Identifier: MIT
// Names of mechanisms, base64, syntax of PLAIN and CRAM-MD5.
#include "common/sasl/message.h"

#include <array>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>
#include <string>

#include "common/digest/digest.h"
#include "common/sasl/mechanism.h"

namespace {

using namespace qpop::sasl;
using namespace std::string_literals;
using namespace std::string_view_literals;

struct Base64Case {
  std::string_view name, text;
  bool right;
  std::string_view want;
};
std::ostream& operator<<(std::ostream& out, const Base64Case& c) { return out << c.name; }
constexpr std::array kBase64{
    Base64Case{"empty", "", true, ""},
    Base64Case{"one octet", "YQ==", true, "a"},
    Base64Case{"two octets", "YWI=", true, "ab"},
    Base64Case{"three octets", "YWJj", true, "abc"},
    Base64Case{"NUL inside", "AGEAYg==", true, "\0a\0b"sv},
    Base64Case{"no padding", "YQ", false, ""},
    Base64Case{"bits behind the end", "YR==", false, ""},
    Base64Case{"bits behind the end, one pad", "YWJ=", false, ""},
    Base64Case{"padding only", "====", false, ""},
    Base64Case{"equals sign only", "=", false, ""},
    Base64Case{"blank inside", "YW Jj", false, ""},
    Base64Case{"line feed inside", "YWJj\n", false, ""},
    Base64Case{"padding in the middle", "YQ==YQ==", false, ""},
    Base64Case{"url alphabet", "-_-_", false, ""},
};
BOOST_DATA_TEST_CASE(base64_is_canonical_or_refused, boost::unit_test::data::make(kBase64), c) {
  Message message;
  BOOST_TEST(message.decode(c.text) == c.right);
  BOOST_TEST(message.view() == c.want);
}

BOOST_AUTO_TEST_CASE(what_is_too_long_is_refused_and_nothing_is_left) {
  Message message;
  BOOST_TEST(message.decode(std::string(kMaxLine, 'A')));
  BOOST_TEST(message.view().size() == kMaxLine / 4 * 3);
  BOOST_TEST(!message.decode(std::string(kMaxLine + 4, 'A')));
  BOOST_TEST(message.view().empty());
  BOOST_TEST(message.decode("YWJj"));
  const char* octets = message.view().data();
  message.clear();
  BOOST_TEST(std::string_view(octets, 3) == "\0\0\0"sv);
}

struct PlainCase {
  std::string_view name, message;
  bool right;
  std::string_view authorization, user, password;
};
std::ostream& operator<<(std::ostream& out, const PlainCase& c) { return out << c.name; }
constexpr std::array kPlain{
    PlainCase{"usual", "\0ada\0secret"sv, true, "", "ada", "secret"},
    PlainCase{"with authorization", "bob\0ada\0secret"sv, true, "bob", "ada", "secret"},
    PlainCase{"blanks in the password", "\0ada\0 two words "sv, true, "", "ada", " two words "},
    PlainCase{"one NUL", "ada\0secret"sv, false, "", "", ""},
    PlainCase{"no NUL", "ada", false, "", "", ""},
    PlainCase{"three NUL", "\0ada\0sec\0ret"sv, false, "", "", ""},
    PlainCase{"no user", "\0\0secret"sv, false, "", "", ""},
    PlainCase{"no password", "\0ada\0"sv, false, "", "", ""},
    PlainCase{"line end in the name", "\0ada\r\n+OK\0secret"sv, false, "", "", ""},
    PlainCase{"line end in the authorization", "a\nb\0ada\0secret"sv, false, "", "", ""},
    PlainCase{"no UTF-8 in the name", "\0ad\xff\0secret"sv, false, "", "", ""},
    PlainCase{"empty", "", false, "", "", ""},
};
BOOST_DATA_TEST_CASE(plain_is_taken_apart_or_refused, boost::unit_test::data::make(kPlain), c) {
  const auto got = parse_plain(c.message);
  BOOST_REQUIRE(got.has_value() == c.right);
  if (!got) return;
  BOOST_TEST(got->authorization == c.authorization);
  BOOST_TEST(got->user == c.user);
  BOOST_TEST(got->password == c.password);
}

BOOST_AUTO_TEST_CASE(fields_of_plain_are_bounded) {
  const std::string most(kMaxField, 'a');
  const auto plain = [](const std::string& user, const std::string& password) { return "\0"s + user + "\0"s + password; };
  BOOST_TEST(parse_plain(plain(most, most)).has_value());
  BOOST_TEST(!parse_plain(plain(most + "a", most)).has_value());
  BOOST_TEST(!parse_plain(plain(most, most + "a")).has_value());
}

BOOST_AUTO_TEST_CASE(cram_md5_is_split_at_the_last_blank) {
  const auto got = parse_cram_md5("ada b b913a602c7eda7a495b4e6e7334d3890");
  BOOST_REQUIRE(got.has_value());
  BOOST_TEST(got->user == "ada b");
  BOOST_TEST(got->digest == "b913a602c7eda7a495b4e6e7334d3890");
  for (const auto bad : {"ada"sv, " b913"sv, ""sv, "a\nb b913"sv}) BOOST_TEST(!parse_cram_md5(bad).has_value(), bad);
  BOOST_TEST(parse_cram_md5("ada ").has_value());
}

BOOST_AUTO_TEST_CASE(cram_md5_of_the_rfc) {
  // RFC 2195 section 2
  BOOST_TEST(qpop::digest::hmac_md5_hex("tanstaaftanstaaf", "<1896.697170952@postoffice.reston.mci.net>") == "b913a602c7eda7a495b4e6e7334d3890");
}

BOOST_AUTO_TEST_CASE(mechanisms_by_name) {
  BOOST_TEST((find_mechanism("scram-sha-256") == Mechanism::scram_sha_256));
  BOOST_TEST((find_mechanism("SCRAM-SHA-256-PLUS") == Mechanism::scram_sha_256_plus));
  BOOST_TEST(!find_mechanism("SCRAM-SHA-1").has_value());
  BOOST_TEST(!find_mechanism("").has_value());
  BOOST_TEST(list(bit(Mechanism::login) | bit(Mechanism::scram_sha_256)) == "SCRAM-SHA-256 LOGIN");
  BOOST_TEST(list(0).empty());
  BOOST_TEST(list(~MechanismSet{0}, "\r\n") == "SCRAM-SHA-256-PLUS\r\nSCRAM-SHA-256\r\nEXTERNAL\r\nCRAM-MD5\r\nPLAIN\r\nLOGIN");
}

}  // namespace
