// SPDX-License-Identifier: MIT
// User names, SCRAM verifiers and dummies.
#include "common/authdb/account.h"

#include <boost/test/unit_test.hpp>

#include "common/authdb/user_name.h"
#include "common/base/text.h"

namespace {

using namespace qpop::authdb;
using qpop::base::Secret;
using qpop::digest::view_of;

struct NameCase {
  std::string_view name;
  bool want;
};
constexpr NameCase kNames[] = {
    {"ada", true},
    {"a", true},
    {"Ada.Lovelace", true},
    {"ada@example.org", true},
    {"a+b-c_d", true},
    {"_x", true},
    {"@x", true},
    {"+x", true},
    {"lock", true},
    {"a.lock2", true},
    {"", false},
    {".ada", false},
    {"-ada", false},
    {"ada.lock", false},
    {"..", false},
    {"a/b", false},
    {"a b", false},
    {"a\nb", false},
    {"a\\b", false},
    {"a:b", false},
    {"\xC3\xA4"
     "da",
     false},
    {"a%b", false},
    {"a\"b", false},
    {".meta", false},
    {"a!", false},
};

BOOST_AUTO_TEST_CASE(user_names) {
  for (const auto& c : kNames) BOOST_TEST(is_acceptable_user_name(c.name) == c.want, "name " << c.name);
  BOOST_TEST(is_acceptable_user_name(std::string(64, 'a')));
  BOOST_TEST(!is_acceptable_user_name(std::string(65, 'a')));
  BOOST_TEST(!is_acceptable_user_name(std::string_view{"a\0b", 3}));
  for (int c = 0; c < 256; ++c) {
    const std::string name{'x', static_cast<char>(c), 'y'};
    const bool want = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      (c != 0 && std::string_view{"._@+-"}.find(static_cast<char>(c)) != std::string_view::npos);
    BOOST_TEST(is_acceptable_user_name(name) == want, "octet " << c);
  }
}

BOOST_AUTO_TEST_CASE(scram_example_of_rfc_7677) {
  ScramVerifier want;
  const auto salt = qpop::digest::base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==");
  BOOST_REQUIRE(salt);
  for (std::size_t i = 0; i < want.salt.size(); ++i) want.salt[i] = static_cast<std::byte>((*salt)[i]);
  want.iterations = 4096;
  const auto stored = qpop::digest::base64_decode("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
  BOOST_REQUIRE(stored);
  for (std::size_t i = 0; i < want.stored_key.size(); ++i) want.stored_key[i] = static_cast<std::byte>((*stored)[i]);
  BOOST_TEST(matches(want, Secret{"pencil"}));
  BOOST_TEST(!matches(want, Secret{"Pencil"}));
  BOOST_TEST(!matches(want, Secret{""}));
}

BOOST_AUTO_TEST_CASE(made_verifier_matches_its_password_only) {
  const auto verifier = make_scram(Secret{"tanstaaf"}, 4096);
  BOOST_TEST(matches(verifier, Secret{"tanstaaf"}));
  BOOST_TEST(!matches(verifier, Secret{"tanstaaF"}));
  BOOST_TEST((make_scram(Secret{"tanstaaf"}, 4096).salt != verifier.salt));
}

BOOST_AUTO_TEST_CASE(dummy_is_stable_for_a_name_and_differs_between_names_and_databases) {
  Meta meta;
  meta.iterations = 4096;
  meta.server_key.fill(std::byte{7});
  BOOST_TEST((dummy_scram(meta, "eve") == dummy_scram(meta, "eve")));
  BOOST_TEST((dummy_scram(meta, "eve").salt != dummy_scram(meta, "eva").salt));
  Meta other = meta;
  other.server_key[0] = std::byte{8};
  BOOST_TEST((dummy_scram(meta, "eve").salt != dummy_scram(other, "eve").salt));
  BOOST_TEST(!matches(dummy_scram(meta, "eve"), Secret{""}));
}

BOOST_AUTO_TEST_CASE(sealed_secret_stays_with_its_name) {
  auto keys = qpop::digest::generate_key_pair();
  BOOST_REQUIRE(keys);
  const Meta meta{.public_key = keys->public_key};
  const auto sealed = seal_apop(meta, "ada", Secret{"tanstaaf"});
  BOOST_REQUIRE(sealed);
  const auto opener = qpop::digest::Opener::make(keys->private_key);
  BOOST_REQUIRE(opener);
  BOOST_TEST(open_apop(*opener, "ada", *sealed)->view() == "tanstaaf");
  BOOST_TEST(open_apop(*opener, "ada", *sealed)->view() == "tanstaaf");
  BOOST_TEST(!open_apop(*opener, "bob", *sealed));
}

}  // namespace
