// SPDX-License-Identifier: MIT
// Secrets are wiped and compared without leaving early.
#include "common/base/secret.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <string>

namespace {

using namespace qpop::base;

BOOST_AUTO_TEST_CASE(leaves_no_octet_behind_when_moved_or_cleared) {
  Secret from{"correct horse"};
  const char* old_place = from.view().data();
  const Secret to{std::move(from)};
  BOOST_TEST(to.view() == "correct horse");
  BOOST_TEST(std::all_of(old_place, old_place + Secret::kMaxOctets, [](char c) { return c == '\0'; }));
}

BOOST_AUTO_TEST_CASE(refuses_what_does_not_fit) {
  Secret secret{"short"};
  BOOST_TEST(!secret.assign(std::string(256, 'x')));
  BOOST_TEST(secret.empty());
  BOOST_TEST(secret.assign(std::string(255, 'x')));
}

BOOST_AUTO_TEST_CASE(compares_every_octet) {
  BOOST_TEST(equal_constant_time("abc", "abc"));
  BOOST_TEST(!equal_constant_time("abc", "abd"));
  BOOST_TEST(!equal_constant_time("abc", "xbc"));
  BOOST_TEST(!equal_constant_time("abc", "ab"));
  BOOST_TEST(equal_constant_time("", ""));
}

}  // namespace
