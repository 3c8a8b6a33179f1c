// SPDX-License-Identifier: MIT
// Record decoder: nothing but what the encoder makes gets through, and nothing crashes it.
#include "common/authdb/record.h"

#include <boost/test/unit_test.hpp>
#include <random>

namespace {

using namespace qpop::authdb;
using qpop::base::ErrorKind;

ScramVerifier sample_scram() {
  ScramVerifier scram;
  scram.salt.fill(std::byte{1});
  scram.iterations = 5000;
  scram.stored_key.fill(std::byte{2});
  scram.server_key.fill(std::byte{3});
  return scram;
}

Account sample(std::size_t sealed_octets) {
  Account account;
  account.scram = sample_scram();
  account.sealed_apop.assign(sealed_octets, 's');
  account.disabled = sealed_octets != 0;
  account.created = 1'700'000'000;
  account.changed = -1;
  return account;
}

/// The same octets with a correct checksum: what a hand-made record would have.
std::string with_checksum(std::string_view name, std::string body) {
  std::uint64_t sum = qpop::digest::xxh3_64(body, qpop::digest::xxh3_64(name));
  for (int i = 0; i < 8; ++i, sum >>= 8U) body += static_cast<char>(sum);
  return body;
}

BOOST_AUTO_TEST_CASE(account_survives_encoding) {
  for (const std::size_t sealed : {std::size_t{0}, qpop::digest::kSealedOctets}) {
    const auto before = sample(sealed);
    const auto after = decode_account("ada", encode_account("ada", before));
    BOOST_REQUIRE(after);
    BOOST_TEST((after->scram == before.scram));
    BOOST_TEST(after->sealed_apop == before.sealed_apop);
    BOOST_TEST(after->disabled == before.disabled);
    BOOST_TEST(after->created == before.created);
    BOOST_TEST(after->changed == before.changed);
  }
}

BOOST_AUTO_TEST_CASE(crypt_string_survives_encoding_with_and_without_scram) {
  for (const bool scram : {false, true}) {
    auto before = sample(0);
    if (!scram) before.scram.reset();
    before.crypt = "$6$salt$hash";
    const auto after = decode_account("ada", encode_account("ada", before));
    BOOST_REQUIRE(after);
    BOOST_TEST((after->scram == before.scram));
    BOOST_TEST(after->crypt == before.crypt);
  }
  auto bad = sample(0);
  for (const std::string& crypt : {std::string{"with blank "}, std::string{"\n"}, std::string(256, 'x')}) {
    bad.crypt = crypt;
    BOOST_TEST(!decode_account("ada", encode_account("ada", bad)));
  }
}

/// As version 1 had it: no crypt field.
BOOST_AUTO_TEST_CASE(records_of_version_1_are_read) {
  auto body = encode_account("ada", sample(qpop::digest::kSealedOctets));
  body.resize(body.size() - 8);
  body[0] = 1;
  body.erase(104, 2);
  const auto got = decode_account("ada", with_checksum("ada", body));
  BOOST_REQUIRE(got);
  BOOST_TEST((got->scram == sample_scram()));
  BOOST_TEST(got->sealed_apop.size() == qpop::digest::kSealedOctets);
  auto meta = encode_meta(Meta{.iterations = 20'000, .created = 5});
  meta.resize(meta.size() - 10);
  meta[0] = 1;
  const auto old = decode_meta(with_checksum(kMetaKey, meta));
  BOOST_REQUIRE(old);
  BOOST_TEST(old->iterations == 20'000U);
}

BOOST_AUTO_TEST_CASE(layout_is_the_documented_one) {
  const auto value = encode_account("ada", sample(qpop::digest::kSealedOctets));
  BOOST_TEST(value.size() == 104U + 2U + 305U + 8U);
  BOOST_TEST(value.substr(0, 8) == std::string_view("\2\1\x31\1\x88\x13\0\0", 8));
  BOOST_TEST(value.substr(8, 16) == std::string(16, '\1'));
  BOOST_TEST(value.substr(24, 32) == std::string(32, '\2'));
  BOOST_TEST(value.substr(56, 32) == std::string(32, '\3'));
  BOOST_TEST(value.substr(96, 8) == std::string(8, '\xFF'));
}

BOOST_AUTO_TEST_CASE(value_under_another_name_is_damage) {
  BOOST_TEST((decode_account("bob", encode_account("ada", sample(0))).error().kind() == ErrorKind::malformed));
}

BOOST_AUTO_TEST_CASE(every_changed_octet_and_every_cut_is_refused) {
  const auto good = encode_account("ada", sample(qpop::digest::kSealedOctets));
  for (std::size_t at = 0; at < good.size(); ++at) {
    auto changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 0x20);
    BOOST_TEST(!decode_account("ada", changed), "octet " << at);
    BOOST_TEST(!decode_account("ada", good.substr(0, at)), "cut at " << at);
  }
  BOOST_TEST(!decode_account("ada", good + "x"));
}

struct MadeCase {
  const char* name;
  std::size_t at;
  char value;
  ErrorKind want;
};
constexpr MadeCase kMade[] = {
    {"version 0", 0, 0, ErrorKind::malformed},
    {"newer version", 0, 3, ErrorKind::unsupported},
    {"unknown flag", 1, 4, ErrorKind::malformed},
    {"all flags", 1, '\xFF', ErrorKind::malformed},
    {"sealed size", 2, 7, ErrorKind::malformed},
    {"sealed size high", 3, 1, ErrorKind::malformed},
    {"flag: no SCRAM, but keys", 1, 2, ErrorKind::malformed},
    {"crypt size", 104, 1, ErrorKind::malformed},
    {"iterations low", 5, 0, ErrorKind::malformed},
    {"iterations huge", 7, '\x7F', ErrorKind::malformed},
};

BOOST_AUTO_TEST_CASE(hand_made_records_with_right_checksum) {
  const auto good = encode_account("ada", sample(0));
  for (const auto& c : kMade) {
    auto body = good.substr(0, good.size() - 8);
    body[c.at] = c.value;
    const auto got = decode_account("ada", with_checksum("ada", body));
    BOOST_TEST((!got && got.error().kind() == c.want), c.name);
  }
  for (const std::size_t size : {0U, 1U, 7U, 8U, 103U, 105U, 106U, 200U, 409U, 5000U}) {
    const auto got = decode_account("ada", with_checksum("ada", std::string(size, '\1')));
    BOOST_TEST(!got, "size " << size);
  }
}

BOOST_AUTO_TEST_CASE(random_octets_are_refused) {
  std::mt19937 random{7};
  for (int i = 0; i < 20'000; ++i) {
    std::string value(random() % 500, '\0');
    for (auto& c : value) c = static_cast<char>(random());
    BOOST_REQUIRE(!decode_account("ada", value));
    BOOST_REQUIRE(!decode_meta(value));
  }
}

BOOST_AUTO_TEST_CASE(meta_survives_encoding_and_is_checked) {
  Meta before{.iterations = 20'000, .created = 5};
  before.public_key.fill(std::byte{4});
  before.server_key.fill(std::byte{5});
  const auto good = encode_meta(before);
  const auto after = decode_meta(good);
  BOOST_REQUIRE(after);
  BOOST_TEST((after->public_key == before.public_key));
  BOOST_TEST((after->server_key == before.server_key));
  BOOST_TEST(after->iterations == 20'000U);
  for (std::size_t at = 0; at < good.size(); ++at) {
    auto changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    BOOST_TEST(!decode_meta(changed), "octet " << at);
    BOOST_TEST(!decode_meta(good.substr(0, at)), "cut at " << at);
  }
  BOOST_TEST(!decode_meta(with_checksum(kMetaKey, std::string(80, '\1'))));
}

}  // namespace
