// SPDX-License-Identifier: MIT
// Sealed boxes: only the right key, the right associated octets and an unchanged blob give the secret back.
#include "common/digest/seal.h"

#include <boost/test/unit_test.hpp>

namespace {

using namespace qpop::digest;
using qpop::base::ErrorKind;
using qpop::base::Secret;

KeyPair keys() {
  auto pair = generate_key_pair();
  BOOST_REQUIRE(pair);
  return std::move(*pair);
}

qpop::base::Result<Secret> open_sealed(const Secret& private_key, std::string_view blob, std::string_view associated) {
  const auto opener = Opener::make(private_key);
  BOOST_REQUIRE(opener);
  return opener->open(blob, associated);
}

BOOST_AUTO_TEST_CASE(gives_back_what_was_sealed) {
  const auto pair = keys();
  for (const std::size_t size : {0U, 1U, 8U, 254U, 255U}) {
    const std::string plain(size, 's');
    const auto blob = seal(pair.public_key, plain, "ada");
    BOOST_REQUIRE(blob);
    BOOST_TEST(blob->size() == kSealedOctets);
    const auto secret = open_sealed(pair.private_key, *blob, "ada");
    BOOST_REQUIRE(secret);
    BOOST_TEST(secret->view() == plain);
  }
  BOOST_TEST((seal(pair.public_key, std::string(256, 's'), "ada").error().kind() == ErrorKind::limit));
}

BOOST_AUTO_TEST_CASE(two_blobs_of_one_secret_differ) {
  const auto pair = keys();
  BOOST_TEST(*seal(pair.public_key, "tanstaaf", "ada") != *seal(pair.public_key, "tanstaaf", "ada"));
}

BOOST_AUTO_TEST_CASE(other_key_or_other_record_is_denied) {
  const auto pair = keys();
  const auto other = keys();
  const auto blob = seal(pair.public_key, "tanstaaf", "ada");
  BOOST_REQUIRE(blob);
  BOOST_TEST((open_sealed(other.private_key, *blob, "ada").error().kind() == ErrorKind::denied));
  BOOST_TEST((open_sealed(pair.private_key, *blob, "bob").error().kind() == ErrorKind::denied));
  BOOST_TEST((open_sealed(pair.private_key, *blob, "").error().kind() == ErrorKind::denied));
}

BOOST_AUTO_TEST_CASE(every_changed_octet_is_noticed) {
  const auto pair = keys();
  const auto blob = seal(pair.public_key, "tanstaaf", "ada");
  BOOST_REQUIRE(blob);
  for (std::size_t at = 0; at < blob->size(); ++at) {
    auto changed = *blob;
    changed[at] = static_cast<char>(changed[at] ^ 0x40);
    BOOST_TEST(!open_sealed(pair.private_key, changed, "ada"), "octet " << at);
  }
  BOOST_TEST((open_sealed(pair.private_key, blob->substr(1), "ada").error().kind() == ErrorKind::malformed));
  BOOST_TEST((open_sealed(pair.private_key, "", "ada").error().kind() == ErrorKind::malformed));
}

BOOST_AUTO_TEST_CASE(unusable_keys_are_refused) {
  BOOST_TEST((seal(PublicKey{}, "tanstaaf", "ada").error().kind() == ErrorKind::malformed));
  BOOST_TEST((public_key_of(Secret{"short"}).error().kind() == ErrorKind::malformed));
  const auto pair = keys();
  BOOST_TEST((*public_key_of(pair.private_key) == pair.public_key));
}

}  // namespace
