// SPDX-License-Identifier: MIT
// What the signer decides: which pairs are served, which TLS sessions are kept.
#include <boost/test/unit_test.hpp>
#include <ctime>

#include "common/tls/issue.h"
#include "common/tls/key.h"
#include "popper/signer/pairs.h"
#include "popper/signer/session_cache.h"

namespace {

using namespace qpop;
using signer::read_pair;

struct Made {
  tls::KeyHandle key;
  std::string key_pem, certificate_pem;
};

Made make(std::int64_t now, int days, tls::KeyKind kind = tls::KeyKind::ecdsa_p256) {
  auto key = tls::generate_key(kind);
  BOOST_REQUIRE(key.has_value());
  auto certificate = tls::self_signed(**key, {.hosts = {"mail.example.org"}, .now = now, .days = days});
  BOOST_REQUIRE(certificate.has_value());
  std::string key_pem{tls::to_pem(**key)->view()};
  return {std::move(*key), std::move(key_pem), certificate->pem()};
}

BOOST_AUTO_TEST_CASE(pair_that_clients_would_refuse_is_not_served) {
  const auto now = ::time(nullptr);
  const auto good = make(now, 90);
  const auto other = make(now, 90);
  const auto old = make(now - 100 * 86400, 50);
  const auto early = make(now + 10 * 86400, 90);
  struct Case {
    const char* what;
    std::string certificate, key;
    bool own_key_file;
    const char* want;  // part of the reason; empty: served
  };
  const std::array cases{
      Case{"one file", good.key_pem + good.certificate_pem, "", false, ""},
      Case{"two files", good.certificate_pem, good.key_pem, true, ""},
      Case{"key of another certificate", good.certificate_pem, other.key_pem, true, "does not belong"},
      Case{"no key", good.certificate_pem, "", false, "no private key"},
      Case{"empty key file", good.certificate_pem, "", true, "no private key"},
      Case{"no certificate", good.key_pem, "", false, "no certificate"},
      Case{"empty", "", "", false, "no certificate"},
      Case{"expired", old.key_pem + old.certificate_pem, "", false, "expired"},
      Case{"not yet valid", early.key_pem + early.certificate_pem, "", false, "valid from"},
      Case{"half a certificate", good.key_pem + good.certificate_pem.substr(0, 200), "", false, ""},
  };
  for (const auto& one : cases) {
    const auto pair = read_pair(one.certificate, one.key, one.own_key_file, now);
    BOOST_TEST_CONTEXT(one.what) {
      const bool refused = *one.want != '\0' || std::string_view{one.what} == "half a certificate";
      BOOST_REQUIRE(pair.has_value() != refused);
      if (!pair) BOOST_TEST(pair.error().message().find(one.want) != std::string::npos, pair.error().message());
    }
  }
}

BOOST_AUTO_TEST_CASE(end_of_a_certificate_is_warned_about_in_time) {
  const auto now = ::time(nullptr);
  const auto made = make(now, 90);
  const auto pair = read_pair(made.key_pem + made.certificate_pem, "", false, now);
  BOOST_REQUIRE(pair.has_value());
  BOOST_TEST(signer::daily_warning(*pair, now).empty());
  BOOST_TEST(signer::daily_warning(*pair, now + 60 * 86400).empty());
  BOOST_TEST(signer::daily_warning(*pair, now + 80 * 86400).find("expires in") != std::string::npos);
  BOOST_TEST(signer::daily_warning(*pair, now + 100 * 86400).find("expired on") != std::string::npos);
  BOOST_TEST(signer::describe(*pair, now).find("mail.example.org") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(sessions_are_found_once_or_again_until_they_are_old) {
  signer::SessionCache cache;
  cache.store("a", "first", 0);
  cache.store("a", "of another client", 0);
  BOOST_TEST(cache.find("a", false, 10) == "first");
  BOOST_TEST(cache.find("a", true, 20) == "first");
  BOOST_TEST(cache.find("a", false, 30).empty());
  cache.store("b", "second", 0);
  BOOST_TEST(cache.find("b", false, signer::SessionCache::kLifeMs).empty());
  BOOST_TEST(cache.size() == 0U);
  BOOST_TEST(cache.find("", false, 0).empty());
}

BOOST_AUTO_TEST_CASE(the_oldest_session_goes_first) {
  signer::SessionCache cache{3};
  for (const char* id : {"1", "2", "3", "4"}) cache.store(id, "s", 0);
  BOOST_TEST(cache.size() == 3U);
  BOOST_TEST(cache.find("1", false, 0).empty());
  BOOST_TEST(cache.find("4", false, 0) == "s");
  // One that was found once and stored anew counts from then on; a flood of such leaves the table small.
  for (int i = 0; i < 1000; ++i) {
    cache.store("x", "s", 0);
    (void)cache.find("x", true, 0);
  }
  BOOST_TEST(cache.size() <= 3U);
}

}  // namespace
