// SPDX-License-Identifier: MIT
// Waits after wrong passwords, in made-up time; the file that holds them, damaged and shared.
#include "popper/authenticator/penalties.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <deque>
#include <string>

#include "common/digest/digest.h"
#include "tests/unit/db/temporary_folder.h"

namespace {

using namespace qpop;
using authenticator::Penalties;

constexpr std::int64_t kSecond = 1000;
constexpr std::int64_t kMinute = 60 * kSecond;
constexpr Penalties::Subject kAda{"192.0.2.1", "ada"};

struct Fixture {
  test::TemporaryFolder folder;
  std::string path = folder / "penalties";
  std::int64_t now = 1'000'000;
  Penalties table = open(2000);

  Penalties open(std::int64_t base_ms) const {
    base::UniqueFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    auto opened = Penalties::open(std::move(fd), base_ms);
    BOOST_REQUIRE(opened.has_value());
    return std::move(*opened);
  }
  /// Waits its turn, fails, and returns how long it had to wait.
  std::int64_t guess(const Penalties::Subject& subject, std::string_view password) {
    std::int64_t waited = 0;
    while (const auto wait = table.admit(subject, now)) {
      now += wait;
      waited += wait;
    }
    (void)table.failed(subject, password, now);
    return waited;
  }
};

BOOST_FIXTURE_TEST_CASE(waits_double_from_two_seconds_to_sixty, Fixture) {
  const std::array<std::int64_t, 8> want{0, 2, 4, 8, 16, 32, 60, 60};
  int number = 0;
  for (const auto seconds : want) BOOST_TEST(guess(kAda, "guess" + std::to_string(number++)) == seconds * kSecond, seconds);
}

BOOST_FIXTURE_TEST_CASE(at_most_six_tries_a_minute_after_the_third_and_others_are_not_delayed, Fixture) {
  std::deque<std::int64_t> tries;
  const Penalties::Subject elsewhere{"192.0.2.2", "ada"};
  const auto end = now + 60 * kMinute;
  for (int number = 0; now < end; ++number) {
    // A new user each time would be no way around it: the address block counts.
    const std::string user = number % 2 == 0 ? "ada" : "user" + std::to_string(number);
    (void)guess({kAda.block, user}, "guess" + std::to_string(number));
    if (number < 3) continue;
    tries.push_back(now);
    while (tries.front() <= now - kMinute) tries.pop_front();
    BOOST_TEST(tries.size() <= 6U);
    BOOST_TEST(table.admit(elsewhere, now) == 0);
  }
}

BOOST_FIXTURE_TEST_CASE(without_a_name_the_block_alone_is_counted, Fixture) {
  // EXTERNAL: one user's broken certificate must not make the others wait, wherever they are.
  for (int block = 1; block < 200; ++block) guess({"192.0.2." + std::to_string(block), ""}, "");
  BOOST_TEST(table.admit({"198.51.100.1", ""}, now) == 0);
  BOOST_TEST(table.admit({"192.0.2.199", ""}, now) > 0);
}

BOOST_FIXTURE_TEST_CASE(tries_at_the_same_time_take_turns, Fixture) {
  BOOST_TEST(table.admit(kAda, now) == 0);
  BOOST_TEST(table.admit(kAda, now) == 0, "nobody has failed yet: a block may be a whole office");
  (void)table.failed(kAda, "one", now);
  now += 2 * kSecond;
  BOOST_TEST(table.admit(kAda, now) == 0);
  BOOST_TEST(table.admit(kAda, now) == 2 * kSecond, "the one before has no answer yet");
  table.succeeded(kAda, now);
  BOOST_TEST(table.admit(kAda, now) == 0, "it was right");
}

BOOST_FIXTURE_TEST_CASE(right_password_is_looked_at_when_its_turn_comes_and_resets_nothing, Fixture) {
  for (int i = 0; i < 5; ++i) (void)guess(kAda, "guess" + std::to_string(i));
  const auto wait = table.admit({kAda.block, "bob"}, now);
  BOOST_TEST(wait == 32 * kSecond);
  now += wait;
  BOOST_TEST(table.admit({kAda.block, "bob"}, now) == 0);
  table.succeeded({kAda.block, "bob"}, now);
  // Whoever guesses must not win by logging in as himself in between.
  BOOST_TEST(guess(kAda, "guess5") == 0);
  BOOST_TEST(table.admit(kAda, now) == 60 * kSecond);
}

BOOST_FIXTURE_TEST_CASE(same_wrong_password_again_raises_nothing, Fixture) {
  (void)guess(kAda, "saved");
  for (int i = 0; i < 30; ++i) BOOST_TEST(guess(kAda, "saved") == 2 * kSecond);
  BOOST_TEST(guess(kAda, "another") == 2 * kSecond);
  BOOST_TEST(guess(kAda, "saved") == 4 * kSecond, "not the last one any more");
  // Digests do not show whether it is the same.
  BOOST_TEST(guess(kAda, "") == 8 * kSecond);
  BOOST_TEST(guess(kAda, "") == 16 * kSecond);
}

BOOST_FIXTURE_TEST_CASE(two_saved_clients_behind_one_address, Fixture) {
  const Penalties::Subject bob{kAda.block, "bob"};
  (void)guess(kAda, "old one");
  (void)guess(bob, "old two");
  for (int i = 0; i < 20; ++i) {
    BOOST_TEST(guess(kAda, "old one") == 4 * kSecond);
    BOOST_TEST(guess(bob, "old two") == 4 * kSecond);
  }
}

BOOST_FIXTURE_TEST_CASE(waits_fall_by_themselves, Fixture) {
  for (int i = 0; i < 4; ++i) (void)guess(kAda, "guess" + std::to_string(i));
  now += 5 * kMinute;
  BOOST_TEST(guess(kAda, "guess4") == 0);
  BOOST_TEST(table.admit(kAda, now) == 16 * kSecond, "one level of five was forgotten");
  now += 60 * kMinute;
  BOOST_TEST(guess(kAda, "guess5") == 0);
  BOOST_TEST(table.admit(kAda, now) == 2 * kSecond);
}

BOOST_FIXTURE_TEST_CASE(guessing_from_many_addresses_meets_the_user_s_own_count, Fixture) {
  const Penalties::Subject home{"198.51.100.7", "ada"};
  BOOST_TEST(table.admit(home, now) == 0);
  table.succeeded(home, now);
  std::int64_t waited = 0;
  int number = 0;
  for (; waited == 0 && number < 100; ++number) waited = guess({"203.0.113." + std::to_string(number), "ada"}, "guess" + std::to_string(number));
  BOOST_TEST(number == static_cast<int>(Penalties::kFreeOfUser) + 2);
  for (; number < 40; ++number) (void)guess({"203.0.113." + std::to_string(number), "ada"}, "guess" + std::to_string(number));
  const Penalties::Subject strange{"203.0.113.200", "ada"};
  BOOST_TEST(table.admit(strange, now) == 60 * kSecond);
  BOOST_TEST(table.admit(home, now) == 0, "ada has logged in from here before");
  BOOST_TEST(table.admit({"203.0.113.200", "bob"}, now) == 0);
}

BOOST_FIXTURE_TEST_CASE(one_address_cannot_keep_a_user_out, Fixture) {
  const auto end = now + 6 * 60 * kMinute;
  for (int number = 0; now < end; ++number) {
    (void)guess(kAda, "guess" + std::to_string(number));
    BOOST_TEST(table.admit({"192.0.2.77", "ada"}, now) == 0);
  }
}

BOOST_FIXTURE_TEST_CASE(refusal_is_held_back_sixteen_seconds_at_most, Fixture) {
  std::int64_t longest = 0;
  for (int i = 0; i < 9; ++i) {
    now += table.admit(kAda, now);
    longest = std::max(longest, table.failed(kAda, "guess" + std::to_string(i), now));
  }
  BOOST_TEST(longest == 16 * kSecond);
}

BOOST_FIXTURE_TEST_CASE(zero_switches_it_off, Fixture) {
  auto off = open(0);
  for (int i = 0; i < 50; ++i) {
    BOOST_TEST(off.admit(kAda, now) == 0);
    BOOST_TEST(off.failed(kAda, "guess" + std::to_string(i), now) == 0);
  }
}

BOOST_FIXTURE_TEST_CASE(other_processes_see_it_and_a_later_one, Fixture) {
  auto other = open(2000);
  for (int i = 0; i < 3; ++i) (void)guess(kAda, "guess" + std::to_string(i));
  BOOST_TEST(other.admit(kAda, now) == 8 * kSecond);
  BOOST_TEST(open(2000).admit(kAda, now) == 8 * kSecond);
}

BOOST_FIXTURE_TEST_CASE(clock_that_started_anew, Fixture) {
  for (int i = 0; i < 6; ++i) (void)guess(kAda, "guess" + std::to_string(i));
  BOOST_TEST(table.admit(kAda, 5000) == 0);
}

BOOST_FIXTURE_TEST_CASE(table_does_not_grow_and_forgets_what_means_least, Fixture) {
  for (int i = 0; i < 7; ++i) (void)guess(kAda, "guess" + std::to_string(i));
  const auto before = now;
  for (int i = 0; i < 3000; ++i) (void)table.failed({std::to_string(i), "user" + std::to_string(i)}, "x", now);
  struct stat status {};
  BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
  BOOST_TEST(status.st_size <= 1 << 20);
  BOOST_TEST(now == before);
  BOOST_TEST(table.admit(kAda, now) == 60 * kSecond, "many with one failure do not push out one with many");
}

BOOST_FIXTURE_TEST_CASE(wrong_passwords_do_not_make_a_known_address_strange, Fixture) {
  const Penalties::Subject home{"198.51.100.7", "ada"};
  table.succeeded(home, now);
  for (int round = 0; round < 3; ++round) {
    now += kSecond;
    for (int i = 0; i < 8000; ++i) (void)table.failed({std::to_string(i), "user" + std::to_string(i)}, std::to_string(round), now);
  }
  BOOST_TEST(table.knows(home, now));
  for (int i = 0; i < 60; ++i) (void)guess({"203.0.113." + std::to_string(i), "ada"}, "guess" + std::to_string(i));
  BOOST_TEST(table.admit({"203.0.113.200", "ada"}, now) == 60 * kSecond);
  BOOST_TEST(table.admit(home, now) == 0, "ada gets in from her usual address");
}

BOOST_FIXTURE_TEST_CASE(known_addresses_give_way_to_newer_ones_and_to_no_failure_s_cost, Fixture) {
  for (int i = 0; i < 6; ++i) (void)guess(kAda, "guess" + std::to_string(i));
  const Penalties::Subject first{"198.51.100.7", "first"};
  const Penalties::Subject last{"198.51.100.8", "last"};
  table.succeeded(first, now);
  for (int i = 0; i < 40'000; ++i) table.succeeded({std::to_string(i), "user"}, now + 1);
  table.succeeded(last, now + 2);
  BOOST_TEST(!table.knows(first, now + 2));
  BOOST_TEST(table.knows(last, now + 2));
  BOOST_TEST(table.admit(kAda, now + 2) > 0, "nobody logs in often enough to have his failures forgotten");
  struct stat status {};
  BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
  BOOST_TEST(status.st_size <= 1 << 20);
}

BOOST_FIXTURE_TEST_CASE(file_of_the_version_before_is_emptiness, Fixture) {
  (void)guess(kAda, "one");
  BOOST_TEST(open(2000).admit(kAda, now) > 0);
  const base::UniqueFd fd{::open(path.c_str(), O_RDWR)};
  std::array<char, 56> header{};
  BOOST_REQUIRE(::pread(fd.get(), header.data(), header.size(), 0) == static_cast<ssize_t>(header.size()));
  BOOST_TEST(header[8] == 2);
  header[8] = 1;
  const std::uint64_t checksum = digest::xxh3_64({header.data(), 48});
  std::memcpy(header.data() + 48, &checksum, sizeof checksum);
  BOOST_REQUIRE(::pwrite(fd.get(), header.data(), header.size(), 0) == static_cast<ssize_t>(header.size()));
  BOOST_TEST(open(2000).admit(kAda, now) == 0);
}

BOOST_FIXTURE_TEST_CASE(file_holds_neither_names_nor_passwords, Fixture) {
  (void)guess({"192.0.2.1", "ada-with-a-long-name"}, "a password that is wrong");
  base::UniqueFd fd{::open(path.c_str(), O_RDONLY)};
  std::string content(1 << 20, '\0');
  const auto got = ::read(fd.get(), content.data(), content.size());
  BOOST_REQUIRE(got > 0);
  for (const auto* text : {"ada-with", "192.0.2", "a password"}) BOOST_TEST(content.find(text) == std::string::npos, text);
}

BOOST_FIXTURE_TEST_CASE(damage_is_emptiness, Fixture) {
  for (int i = 0; i < 6; ++i) (void)guess(kAda, "guess" + std::to_string(i));
  struct stat status {};
  BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
  const base::UniqueFd fd{::open(path.c_str(), O_RDWR)};
  for (off_t at = 0; at < status.st_size; at += 997) {
    const char wrong = '\x5a';
    BOOST_REQUIRE(::pwrite(fd.get(), &wrong, 1, at) == 1);
    auto opened = open(2000);
    const auto wait = opened.admit({"192.0.2.9", "bob"}, now);
    BOOST_TEST(wait == 0);
  }
  for (const off_t size : {0, 1, 55, 56, 100}) {
    BOOST_REQUIRE(::ftruncate(fd.get(), size) == 0);
    auto opened = open(2000);
    BOOST_TEST(opened.admit(kAda, now) == 0, size);
    (void)opened.failed(kAda, "x", now);
    BOOST_TEST(opened.admit(kAda, now) == 2 * kSecond, size);
  }
}

}  // namespace
