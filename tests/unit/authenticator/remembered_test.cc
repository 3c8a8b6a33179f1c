// SPDX-License-Identifier: MIT
// What is remembered of passwords: for whom, for how long, how many.
#include "popper/authenticator/remembered.h"

#include <boost/test/unit_test.hpp>
#include <string>

#include "tests/fault/fake_clock.h"

namespace {

using namespace qpop;
using authenticator::RememberedPasswords;
using base::Secret;

BOOST_AUTO_TEST_CASE(name_record_and_password_must_all_be_the_same) {
  test::FakeClock clock;
  RememberedPasswords passwords{clock};
  BOOST_TEST(!passwords.match("ada", "record", Secret{"tanstaaf"}));
  passwords.remember("ada", "record", Secret{"tanstaaf"});
  BOOST_TEST(passwords.match("ada", "record", Secret{"tanstaaf"}));
  BOOST_TEST(!passwords.match("bob", "record", Secret{"tanstaaf"}));
  BOOST_TEST(!passwords.match("ada", "recor", Secret{"tanstaaf"}));
  BOOST_TEST(!passwords.match("ada", "record", Secret{"tanstaa"}));
  BOOST_TEST(!passwords.match("ada", "record", Secret{""}));
  RememberedPasswords others{clock};
  BOOST_TEST(!others.match("ada", "record", Secret{"tanstaaf"}));
}

BOOST_AUTO_TEST_CASE(the_number_is_bounded_and_the_oldest_goes_first) {
  test::FakeClock clock;
  RememberedPasswords passwords{clock};
  for (std::size_t i = 0; i < RememberedPasswords::kMost; ++i) {
    passwords.remember("user" + std::to_string(i), "record", Secret{"x"});
    if (i == 0) clock.advance_ms(1);
  }
  passwords.remember("last", "record", Secret{"x"});
  BOOST_TEST(passwords.size() == RememberedPasswords::kMost);
  BOOST_TEST(!passwords.match("user0", "record", Secret{"x"}));
  BOOST_TEST(passwords.match("user1", "record", Secret{"x"}));
  BOOST_TEST(passwords.match("last", "record", Secret{"x"}));
  clock.advance_ms(RememberedPasswords::kKeptMs);
  passwords.remember("fresh", "record", Secret{"x"});
  BOOST_TEST(passwords.size() == 1U);
}

}  // namespace
