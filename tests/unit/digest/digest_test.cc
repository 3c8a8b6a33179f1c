// SPDX-License-Identifier: MIT
// Published vectors for the hashes we rely on.
#include "common/digest/digest.h"

#include <xxhash.h>

#include <boost/test/unit_test.hpp>

#include "common/base/text.h"
#include "common/digest/xxh3_avx2.h"

namespace {

using namespace qpop::digest;
using qpop::base::to_hex;

BOOST_AUTO_TEST_CASE(apop_example_of_rfc_1939) {
  BOOST_TEST(md5_hex("<1896.697170952@dbc.mtview.ca.us>", "tanstaaf") == "c4c9334bac560ecc979e58001b3e22fb");
}

BOOST_AUTO_TEST_CASE(sha256_of_fips_180) {
  const std::array<std::string_view, 2> parts{"a", "bc"};
  BOOST_TEST(to_hex(view_of(sha256(parts))) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

BOOST_AUTO_TEST_CASE(scram_example_of_rfc_7677) {
  const auto salt = base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==");
  BOOST_REQUIRE(salt.has_value());
  const auto salted = pbkdf2_sha256("pencil", *salt, 4096);
  const auto server_key = hmac_sha256(view_of(salted), "Server Key");
  const std::string auth_message =
      "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,"
      "i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  BOOST_TEST(base64_encode(view_of(hmac_sha256(view_of(server_key), auth_message))) ==
             "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

BOOST_AUTO_TEST_CASE(stream_gives_the_same_for_every_cut) {
  const std::string text = "From ada@example.org Thu Nov 29 23:33:09 1973\n";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    Xxh3Stream stream{7};
    stream.add(std::string_view{text}.substr(0, cut));
    stream.add(std::string_view{text}.substr(cut));
    BOOST_TEST((stream.result() == xxh3_128(text, 7)));
  }
}

BOOST_AUTO_TEST_CASE(base64_is_canonical_or_refused) {
  BOOST_TEST(base64_encode(std::string_view{"\0ab", 3}) == "AGFi");
  BOOST_TEST(*base64_decode("AGFi") == std::string_view("\0ab", 3));
  BOOST_TEST(base64_decode("").has_value());
  for (const auto* bad : {"A", "AG=i", "AGF", "AB==C", "AGFi\n", "AB=="}) BOOST_TEST(base64_decode(bad).has_value() == false, bad);
  BOOST_TEST(base64_decode("AA==").has_value());
}

BOOST_AUTO_TEST_CASE(xxh3_is_the_same_with_wide_registers) {
  std::string text;
  for (unsigned i = 0; i < 5000; ++i) text += static_cast<char>(i * 7 + i / 256);
  for (std::size_t size = 0; size < text.size(); size += size < 600 ? 1 : 97) {
    for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{0x0123456789abcdef}}) {
      BOOST_TEST(xxh3_64({text.data(), size}, seed) == XXH3_64bits_withSeed(text.data(), size, seed), "size " << size);
    }
    if (avx2::has_avx2()) BOOST_TEST(avx2::xxh3_64(text.data(), size, 5) == XXH3_64bits_withSeed(text.data(), size, 5), "size " << size);
  }
  for (const std::size_t piece : {1U, 255U, 333U, 1024U, 4999U, 5000U}) {
    Xxh3Stream stream{7};
    for (std::size_t at = 0; at < text.size(); at += piece) stream.add(std::string_view{text}.substr(at, piece));
    BOOST_TEST((stream.result() == xxh3_128(text, 7)), "pieces of " << piece);
  }
}

}  // namespace
