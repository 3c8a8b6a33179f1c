// SPDX-License-Identifier: MIT
// Whose turn it is.
#include "popper/authenticator/queue.h"

#include <boost/test/unit_test.hpp>
#include <string>

namespace {

using qpop::authenticator::Queue;

int take(Queue& queue, std::int64_t now) {
  const auto id = queue.next(now);
  if (!id) return -1;
  queue.remove(*id);
  return *id;
}

BOOST_AUTO_TEST_CASE(blocks_take_turns) {
  Queue queue;
  for (int id = 0; id < 50; ++id) queue.add(id, "flood", false, id);
  queue.add(100, "other", false, 60);
  queue.add(101, "third", false, 61);
  int turns = 0;
  bool other = false, third = false;
  while (!(other && third) && turns < 60) {
    const int id = take(queue, 100);
    other = other || id == 100;
    third = third || id == 101;
    ++turns;
  }
  BOOST_TEST(turns <= 3);
}

BOOST_AUTO_TEST_CASE(many_blocks_are_served_round) {
  Queue queue;
  int next_id = 0;
  for (int round = 0; round < 5; ++round) {
    for (int block = 0; block < 20; ++block) queue.add(next_id++, std::to_string(block), false, 0);
  }
  queue.add(1000, "late", false, 1);
  int turns = 1;
  while (take(queue, 1) != 1000) ++turns;
  BOOST_TEST(turns <= 21);
}

BOOST_AUTO_TEST_CASE(oldest_of_a_block_first_and_who_is_known_before_it) {
  Queue queue;
  queue.add(1, "a", false, 0);
  queue.add(2, "a", false, 1);
  queue.add(3, "a", true, 2);
  BOOST_TEST(take(queue, 5) == 3);
  BOOST_TEST(take(queue, 5) == 1);
  BOOST_TEST(take(queue, 5) == 2);
  BOOST_TEST(take(queue, 5) == -1);
}

BOOST_AUTO_TEST_CASE(delayed_ones_wait_and_do_not_hold_up_others) {
  Queue queue;
  queue.add(1, "a", false, 0);
  queue.add(2, "b", false, 0);
  queue.delay(1, 500);
  BOOST_TEST(take(queue, 10) == 2);
  BOOST_TEST(take(queue, 499) == -1);
  BOOST_TEST(*queue.wake_ms(60'000) == 500);
  BOOST_TEST(take(queue, 500) == 1);
  BOOST_TEST(!queue.wake_ms(60'000).has_value());
}

BOOST_AUTO_TEST_CASE(nobody_waits_for_ever) {
  Queue queue;
  queue.add(1, "a", false, 1000);
  queue.add(2, "a", false, 1500);
  queue.delay(1, 1'000'000);
  BOOST_TEST(!queue.overdue(2000, 1000).has_value());
  BOOST_TEST(*queue.wake_ms(1000) == 1500);
  BOOST_TEST(*queue.overdue(2001, 1000) == 1);
  queue.remove(1);
  BOOST_TEST(!queue.overdue(2001, 1000).has_value());
  queue.remove(7);  // never there
  BOOST_TEST(queue.size() == 1U);
}

}  // namespace
