// SPDX-License-Identifier: MIT
// SASLprep, crypt(3) strings, and the one test of a password that serves every kind of record.
#include "common/authdb/password.h"

#include <boost/test/unit_test.hpp>

namespace {

using namespace qpop::authdb;
using qpop::base::Secret;

struct PrepCase {
  const char* name;
  std::string_view raw, want;
};
// The first five: RFC 4013 section 3.
constexpr PrepCase kPrep[] = {
    {"soft hyphen goes", "I\xC2\xADX", "IX"},
    {"unchanged", "user", "user"},
    {"case stays", "USER", "USER"},
    {"feminine ordinal", "\xC2\xAA", "a"},
    {"roman numeral nine", "\xE2\x85\xA8", "IX"},
    {"no-break space", "a\xC2\xA0 b", "a  b"},
    {"composed and decomposed are one", "u\xCC\x88", "\xC3\xBC"},
    {"emoji of later Unicode", "\xF0\x9F\xA6\x84", "\xF0\x9F\xA6\x84"},
    {"control stays raw", "\x07", "\x07"},
    {"control beside umlaut stays raw", "\x07u\xCC\x88", "\x07u\xCC\x88"},
    {"mixed direction stays raw", "\xD8\xA7\x31", "\xD8\xA7\x31"},
    {"no UTF-8 stays raw", "caf\xE9", "caf\xE9"},
    {"cut UTF-8 stays raw", "\xE2\x85", "\xE2\x85"},
    {"nothing left stays raw", "\xC2\xAD", "\xC2\xAD"},
    {"empty", "", ""},
};

BOOST_AUTO_TEST_CASE(saslprep) {
  for (const auto& c : kPrep) BOOST_TEST(prepare_password(Secret{c.raw}).view() == c.want, c.name);
  const std::string with_nul{"\xC3\xBC\0x", 4};
  BOOST_TEST(prepare_password(Secret{with_nul}).view() == with_nul);
}

BOOST_AUTO_TEST_CASE(growth_beyond_255_octets_stays_raw) {
  std::string raw;
  for (int i = 0; i < 85; ++i) raw += "\xEF\xB7\xBA";  // U+FDFA: 18 characters when prepared
  BOOST_TEST(prepare_password(Secret{raw}).view() == raw);
}

BOOST_AUTO_TEST_CASE(scram_takes_either_form_of_a_password) {
  const auto verifier = make_scram(Secret{"u\xCC\x88"}, kMinIterations);
  BOOST_TEST(matches(verifier, Secret{"\xC3\xBC"}));
  BOOST_TEST(matches(verifier, Secret{"u\xCC\x88"}));
  BOOST_TEST(!matches(verifier, Secret{"u"}));
}

struct CryptCase {
  const char* name;
  std::string_view crypt;
  bool want;
};
// Of the password "tanstaaf", by crypt(3) of libxcrypt 4.4.33 through Python.
constexpr CryptCase kCrypt[] = {
    {"SHA-512", "$6$saltsalt$JfDkfKepJJ8OUWRByLbPk38gXHsXisVEzfbhJNOdQONUSHJpsMS04wE7S46k63uzhSh1G0j2QJ1gqfWqZChQE.",
     true},
    {"SHA-512 with rounds",
     "$6$rounds=1000$saltsalt$rXjl5uYHGWEqW/rCvZtCboIF4gG9Mm2IgawiKhopbnZ3Wo8X8lHSiLnrN1Z0o3jtyNmfEJVSATxUqKvsHnqia0",
     true},
    {"SHA-256", "$5$saltsalt$AHEKnDWlz30naxZICwx9iP.q/8kkh.5vY4KFHIo4Rn8", true},
    {"MD5", "$1$saltsalt$roN2lUfEbZqZad1NpG.Zy1", true},
    {"bcrypt", "$2b$04$abcdefghijklmnopqrstuumJUK7dJmoK7yMfXBMkeTJL1Y.du7qIG", true},
    {"yescrypt", "$y$j75$saltsaltsaltsalt$6SVwv1HusXl0WnWCOXYSYZzMWMcXUy9ma9RHxnUy.cA", true},
    {"DES", "ab/TdqTfG5VbQ", true},
    {"unknown scheme", "$zz$x$y", false},
    {"refused", "*0", false},
    {"refused otherwise", "*1", false},
    {"locked", "!", false},
    {"empty", "", false},
};

BOOST_AUTO_TEST_CASE(crypt_strings) {
  for (const auto& c : kCrypt) {
    BOOST_TEST(matches_crypt(c.crypt, Secret{"tanstaaf"}) == c.want, c.name);
    BOOST_TEST(!matches_crypt(c.crypt, Secret{"tanstaaF"}), c.name);
    BOOST_TEST(!matches_crypt(c.crypt, Secret{std::string_view{"tanstaaf\0x", 10}}), c.name);
    BOOST_TEST(make_dummy_crypt(c.crypt).has_value() == c.want, c.name);
  }
}

BOOST_AUTO_TEST_CASE(dummy_crypt_has_the_scheme_and_no_known_password) {
  const auto dummy = make_dummy_crypt(kCrypt[0].crypt);
  BOOST_REQUIRE(dummy);
  BOOST_TEST(dummy->substr(0, 3) == kCrypt[0].crypt.substr(0, 3));
  BOOST_TEST(*dummy != kCrypt[0].crypt);
  BOOST_TEST(!matches_crypt(*dummy, Secret{"tanstaaf"}));
}

struct Fixture {
  Meta meta;
  Account by_scram, by_crypt, nothing;
  Fixture() {
    meta.iterations = kMinIterations;
    meta.dummy_crypt = kCrypt[0].crypt;
    by_scram.scram = make_scram(Secret{"tanstaaf"}, kMinIterations);
    by_crypt.crypt = kCrypt[0].crypt;
  }
};

BOOST_FIXTURE_TEST_CASE(one_test_for_every_kind_of_record, Fixture) {
  const auto test = [&](const Account* account, std::string_view password) {
    return matches_password(meta, "ada", account, Secret{password});
  };
  BOOST_TEST(test(&by_scram, "tanstaaf"));
  BOOST_TEST(test(&by_crypt, "tanstaaf"));
  BOOST_TEST(!test(&by_scram, "wrong"));
  BOOST_TEST(!test(&by_crypt, "wrong"));
  // The dummies are compared with as well and must never let anybody in.
  BOOST_TEST(!test(nullptr, "tanstaaf"));
  BOOST_TEST(!test(&nothing, "tanstaaf"));
  BOOST_TEST(!test(&nothing, ""));
}

/// `doveadm pw -s CRAM-MD5 -p tanstaaf`
constexpr const char* kCramMd5 = "{CRAM-MD5}bc85c9a3cb6b88ebf5a19a22a3604ef939585872c1ade1a2bf44087948a852f4";

BOOST_FIXTURE_TEST_CASE(cram_md5_string_serves_clear_passwords_and_is_upgraded, Fixture) {
  Account account;
  account.crypt = kCramMd5;
  for (const auto* dummy : {kCrypt[0].crypt.data(), ""}) {
    meta.dummy_crypt = dummy;
    BOOST_TEST(matches_password(meta, "ada", &account, Secret{"tanstaaf"}));
    for (const std::string_view wrong : {"tanstaaF", "", "tanstaaf ", kCramMd5})
      BOOST_TEST(!matches_password(meta, "ada", &account, Secret{wrong}), wrong);
    BOOST_TEST(!matches_password(meta, "ada", &account, Secret{std::string_view{"tanstaaf\0", 9}}));
  }
  BOOST_TEST(needs_upgrade(meta, account));
  const auto after = upgraded(meta, account, Secret{"tanstaaf"});
  BOOST_TEST(after.crypt == "");
  BOOST_TEST(matches(after.scram.value(), Secret{"tanstaaf"}));
  account.scram = make_scram(Secret{"other"}, kMinIterations);
  BOOST_TEST(!matches_password(meta, "ada", &account, Secret{"tanstaaf"}), "SCRAM counts when a record has both");
}

BOOST_FIXTURE_TEST_CASE(cram_md5_string_costs_the_same_work, Fixture) {
  Account by_cram_md5;
  by_cram_md5.crypt = kCramMd5;
  const auto work_of = [&](const Account* account) {
    qpop::digest::work() = {};
    (void)matches_password(meta, "ada", account, Secret{"wrong"});
    return qpop::digest::work();
  };
  const auto want = work_of(&by_scram);
  BOOST_TEST(want.hmacs > 0U);
  BOOST_TEST((work_of(&by_cram_md5) == want));
  BOOST_TEST((work_of(&by_crypt) == want));
  BOOST_TEST((work_of(nullptr) == want));
}

BOOST_FIXTURE_TEST_CASE(scram_counts_when_a_record_has_both, Fixture) {
  by_scram.crypt = kCrypt[0].crypt;
  by_scram.scram = make_scram(Secret{"other"}, kMinIterations);
  BOOST_TEST(!matches_password(meta, "ada", &by_scram, Secret{"tanstaaf"}));
  BOOST_TEST(matches_password(meta, "ada", &by_scram, Secret{"other"}));
}

BOOST_FIXTURE_TEST_CASE(upgrade_replaces_crypt_and_old_iterations, Fixture) {
  BOOST_TEST(!needs_upgrade(meta, by_scram));
  BOOST_TEST(needs_upgrade(meta, by_crypt));
  const auto after = upgraded(meta, by_crypt, Secret{"tanstaaf"});
  BOOST_TEST(after.crypt.empty());
  BOOST_TEST(after.sealed_apop.empty());
  BOOST_TEST(matches(after.scram.value(), Secret{"tanstaaf"}));
  BOOST_TEST(!needs_upgrade(meta, after));
  meta.iterations = 2 * kMinIterations;
  BOOST_TEST(needs_upgrade(meta, by_scram));
}

}  // namespace
