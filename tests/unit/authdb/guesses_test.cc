// SPDX-License-Identifier: MIT
// Counting tries at old passwords.
#include "common/authdb/guesses.h"

#include <boost/test/unit_test.hpp>

namespace {

using namespace qpop::authdb;

BOOST_AUTO_TEST_CASE(five_are_free_then_waits_double) {
  Guesses guesses;
  std::int64_t now = 1'000'000;
  for (int i = 0; i < 5; ++i) BOOST_TEST(count_guess(guesses, 7, now) == 0);
  for (const std::int64_t wait : {4, 8, 16, 32, 60, 60}) {
    BOOST_TEST(count_guess(guesses, 7, now) == wait);
    BOOST_TEST(count_guess(guesses, 7, now + wait - 1) == 1);
    now += wait;
    BOOST_TEST(count_guess(guesses, 7, now) == 0);
  }
  BOOST_TEST(count_guess(guesses, 8, now) == 0);  // somebody else
}

BOOST_AUTO_TEST_CASE(a_refused_try_does_not_lengthen_the_wait) {
  Guesses guesses;
  for (int i = 0; i < 5; ++i) BOOST_TEST(count_guess(guesses, 7, 100) == 0);
  for (int i = 0; i < 50; ++i) BOOST_TEST(count_guess(guesses, 7, 101) == 3);
  BOOST_TEST(count_guess(guesses, 7, 104) == 0);
}

BOOST_AUTO_TEST_CASE(forgiven_after_success_and_after_an_hour) {
  Guesses guesses;
  for (int i = 0; i < 5; ++i) BOOST_TEST(count_guess(guesses, 7, 100) == 0);
  BOOST_TEST(count_guess(guesses, 7, 100) == 4);
  BOOST_TEST(forgive_guesses(guesses, 7));
  BOOST_TEST(!forgive_guesses(guesses, 7));
  for (int i = 0; i < 5; ++i) BOOST_TEST(count_guess(guesses, 7, 100) == 0);
  for (int i = 0; i < 5; ++i) BOOST_TEST(count_guess(guesses, 7, 100 + kGuessMemory + 1) == 0);
}

BOOST_AUTO_TEST_CASE(clock_that_was_put_back_waits_no_longer_than_the_rule) {
  Guesses guesses;
  for (int i = 0; i < 5; ++i) BOOST_TEST(count_guess(guesses, 7, 1'000'000) == 0);
  BOOST_TEST(count_guess(guesses, 7, 500) == 4);
  BOOST_TEST(count_guess(guesses, 7, 504) == 0);
}

BOOST_AUTO_TEST_CASE(table_is_bounded_and_forgets_the_oldest) {
  Guesses guesses;
  for (uid_t uid = 0; uid < 1000; ++uid) BOOST_TEST(count_guess(guesses, uid, 100 + uid) == 0);
  BOOST_TEST(guesses.size() == kMaxGuessers);
  BOOST_TEST(guesses.back().uid == 999U);
  BOOST_TEST(std::none_of(guesses.begin(), guesses.end(), [](const Guesser& one) { return one.uid < 1000 - kMaxGuessers; }));
}

BOOST_AUTO_TEST_CASE(record_survives_encoding_and_damage_is_empty) {
  Guesses guesses{{.uid = 7, .tries = 3, .last = 5'000'000'000}, {.uid = 4'000'000'000U, .tries = 1, .last = 1}};
  const auto value = encode_guesses(guesses);
  BOOST_TEST((decode_guesses(value) == guesses));
  for (std::size_t at = 0; at < value.size(); ++at) {
    auto changed = value;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    BOOST_TEST(decode_guesses(changed).empty(), "octet " << at);
    BOOST_TEST(decode_guesses(value.substr(0, at)).empty(), "cut at " << at);
  }
}

}  // namespace
