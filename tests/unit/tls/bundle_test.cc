// SPDX-License-Identifier: MIT
// Whatever octets come, reading ends, and what is right among them is found.
#include "common/tls/bundle.h"

#include <boost/test/unit_test.hpp>
#include <ctime>
#include <random>

#include "common/tls/chain.h"
#include "common/tls/issue.h"
#include "common/tls/key.h"

namespace {

using namespace qpop::tls;

struct Pair {
  KeyHandle key;
  Certificate certificate;
};

Pair new_pair() {
  auto key = generate_key(KeyKind::ecdsa_p256);
  auto certificate = self_signed(**key, {.hosts = {"mail.example.org", "192.0.2.1"}, .now = ::time(nullptr), .days = 10});
  return {std::move(*key), std::move(*certificate)};
}

BOOST_AUTO_TEST_CASE(blocks_are_found_among_damage) {
  const auto one = new_pair();
  const auto other = new_pair();
  const std::string key{to_pem(*one.key)->view()};
  std::string cut = other.certificate.pem();
  cut.resize(cut.size() / 2);
  const auto bundle = read_bundle("noise\n" + cut + one.certificate.pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + key);
  BOOST_REQUIRE(bundle.has_value());
  BOOST_REQUIRE(bundle->certificates.size() == 1U);
  BOOST_TEST((bundle->certificates[0] == one.certificate));
  BOOST_REQUIRE(bundle->keys.size() == 1U);
  BOOST_TEST(one.certificate.has_key(*bundle->keys[0]));
  BOOST_TEST(bundle->damaged_blocks == 2U);
}

BOOST_AUTO_TEST_CASE(any_octets_are_survived) {
  const auto one = new_pair();
  const std::string good = one.certificate.pem() + std::string{to_pem(*one.key)->view()};
  std::mt19937 random{7};
  for (int i = 0; i < 3000; ++i) {
    auto text = i % 3 == 0 ? one.certificate.der() : good;
    for (auto n = random() % 6; n > 0; --n) text[random() % text.size()] = static_cast<char>(random());
    if (random() % 3 == 0) text.resize(random() % text.size());
    const auto bundle = read_bundle(text, [] { return std::string{"sesame"}; });
    for (std::size_t n = 0; bundle && n < bundle->certificates.size(); ++n) {
      const auto& found = bundle->certificates[n];
      // Printing untrusted names is part of reading them.
      BOOST_TEST(!found.subject().empty());
      static_cast<void>(found.host_names());
      static_cast<void>(found.signature_digest());
      if (!bundle->keys.empty()) static_cast<void>(arrange_chain(bundle->certificates, *bundle->keys[0]));
    }
  }
  BOOST_TEST(!read_bundle(std::string(kMostBundleOctets + 1, 'x')).has_value());
  BOOST_TEST(read_bundle("").has_value());
}

BOOST_AUTO_TEST_CASE(names_are_matched_as_clients_match_them) {
  auto key = generate_key(KeyKind::ecdsa_p256);
  const auto own = self_signed(**key, {.hosts = {"mail.example.org", "*.wild.example.org", "192.0.2.1", "2001:db8::1"}, .now = ::time(nullptr)});
  BOOST_REQUIRE(own.has_value());
  for (const auto* name : {"mail.example.org", "MAIL.example.org", "a.wild.example.org", "192.0.2.1", "2001:db8::1"}) BOOST_TEST(own->is_for(name), name);
  for (const auto* name : {"example.org", "xmail.example.org", "a.b.wild.example.org", "wild.example.org", "192.0.2.2", "2001:db8::2", ""}) BOOST_TEST(!own->is_for(name), name);
  BOOST_TEST(!self_signed(**key, {.hosts = {}, .now = 0}).has_value());
  BOOST_TEST(!self_signed(**key, {.hosts = {"a.example.org,DNS:evil.example.org"}, .now = 0}).has_value());
  BOOST_TEST(!self_signed(**key, {.hosts = {"a.example.org\nx"}, .now = 0}).has_value());
}

}  // namespace
