// SPDX-License-Identifier: MIT
// Commands of a client over a socket pair, and when the next one is looked for before anybody sleeps.
#include "popper/session/client.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>

#include "popper/session/quick_look.h"

namespace {

using namespace qpop;
using session::Client;
using session::QuickLook;
using Event = Client::Event;

/// A time of its own that moves on with each question, and a client that answers after some of them.
class Looks {
 public:
  /// Number of times that it was asked whether something is there, in one turn. `there_after`: so many answers of no.
  unsigned turn(QuickLook& look, unsigned there_after) {
    asked_ = 0;
    found_ = look.finds([&] { return asked_++ == there_after; },
                        [&] { return std::chrono::steady_clock::time_point{now_ += std::chrono::microseconds{1}}; });
    return asked_;
  }
  [[nodiscard]] bool found() const { return found_; }

 private:
  std::chrono::steady_clock::duration now_{};
  unsigned asked_ = 0;
  bool found_ = false;
};

constexpr unsigned kNever = 1'000'000;

/// So many commands in a row came as soon as that.
void quick(QuickLook& look, unsigned turns = QuickLook::kQuickTurns, QuickLook::Duration duration = {}) {
  for (unsigned turn = 0; turn < turns; ++turn) look.slept(duration);
}

BOOST_AUTO_TEST_CASE(only_a_client_whose_last_commands_came_at_once_is_looked_for) {
  QuickLook look;
  Looks looks;
  BOOST_TEST(looks.turn(look, 0) == 0U);  // nothing is known of it
  quick(look, 2 * QuickLook::kQuickTurns, QuickLook::kQuick);
  BOOST_TEST(looks.turn(look, 0) == 0U);
  quick(look, QuickLook::kQuickTurns - 1, QuickLook::kQuick - QuickLook::Duration{1});
  BOOST_TEST(looks.turn(look, 0) == 0U);  // a short session
  quick(look, 1, QuickLook::kQuick - QuickLook::Duration{1});
  BOOST_TEST(looks.turn(look, 0) == 1U);
  BOOST_TEST(looks.found());
  BOOST_TEST(looks.turn(look, 5) == 6U);  // and again, as long as it comes
  BOOST_TEST(looks.found());
  look.slept(std::chrono::milliseconds{1});
  BOOST_TEST(looks.turn(look, 0) == 0U);
  BOOST_TEST(!looks.found());
}

BOOST_AUTO_TEST_CASE(looking_ends_and_a_miss_is_followed_by_a_pause) {
  QuickLook look;
  Looks looks;
  quick(look);
  for (int round = 0; round < 3; ++round) {
    const auto asked = looks.turn(look, kNever);
    BOOST_TEST(asked > 10U);
    BOOST_TEST(asked <= static_cast<unsigned>(QuickLook::kLook / std::chrono::microseconds{1}));
    BOOST_TEST(!looks.found());
    for (unsigned turn = 0; turn < QuickLook::kTurnsToSleep; ++turn) {
      BOOST_TEST(looks.turn(look, 0) == 0U, "turn " << turn << " of the pause");
      look.slept({});  // it was quick all the same
    }
  }
  BOOST_TEST(looks.turn(look, 0) == 1U);
  BOOST_TEST(looks.found());
}

BOOST_AUTO_TEST_CASE(turns_of_a_slow_client_are_no_part_of_the_pause) {
  QuickLook look;
  Looks looks;
  quick(look);
  static_cast<void>(looks.turn(look, kNever));
  look.slept(std::chrono::seconds{1});
  for (unsigned turn = 0; turn < 2 * QuickLook::kTurnsToSleep; ++turn) static_cast<void>(looks.turn(look, 0));
  quick(look);
  BOOST_TEST(looks.turn(look, 0) == 0U);
}

class Pair {
 public:
  Pair() {
    std::array<int, 2> pair{};
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) == 0);
    peer.reset(pair[0]);
    client = std::make_unique<Client>(base::UniqueFd{pair[1]}, wake.get(), 1000, clock);
  }
  void send(std::string_view text) const { BOOST_REQUIRE(::write(peer.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())); }
  [[nodiscard]] std::string received() const {
    std::array<char, 4096> buffer{};
    const auto got = ::read(peer.get(), buffer.data(), buffer.size());
    return {buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
  }
  Event next() { return client->next(clock.monotonic_ms() + 20'000); }

  base::SystemClock clock;
  base::UniqueFd wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  base::UniqueFd peer;
  std::unique_ptr<Client> client;
};

/// Far more turns than the pause has. The other side of the pair answers as fast as it can; whether a command is looked for or slept for,
/// each is found once.
BOOST_AUTO_TEST_CASE(a_client_in_lockstep_is_served_by_looking_and_by_sleeping) {
  constexpr int kCommands = 2000;
  Pair pair;
  const pid_t pid = ::fork();
  BOOST_REQUIRE(pid >= 0);
  if (pid == 0) {
    // As mail programs on this host do, with a pause now and then.
    ::fcntl(pair.peer.get(), F_SETFL, 0);
    std::array<char, 16> answer{};
    for (int i = 0; i < kCommands; ++i) {
      if (i % 100 == 99) ::usleep(500);
      const auto command = "NOOP " + std::to_string(i) + "\r\n";
      if (::write(pair.peer.get(), command.data(), command.size()) != static_cast<ssize_t>(command.size()) || ::read(pair.peer.get(), answer.data(), answer.size()) != 5) ::_exit(1);
    }
    ::_exit(0);
  }
  pair.peer.reset();
  for (int i = 0; i < kCommands; ++i) {
    BOOST_REQUIRE((pair.next() == Event::line));
    BOOST_REQUIRE(pair.client->line() == "NOOP " + std::to_string(i));
    pair.client->put("+OK\r\n");
  }
  BOOST_TEST((pair.next() == Event::closed));
  int status = 0;
  BOOST_TEST(::waitpid(pid, &status, 0) == pid);
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(commands_are_found_whole_and_each_once) {
  Pair pair;
  for (int i = 0; i < 30; ++i) {
    const auto command = "NOOP " + std::to_string(i);
    if (i % 3 == 2) {
      pair.send(command.substr(0, 3));
      BOOST_TEST(pair.client->has_input());
      pair.send(command.substr(3) + "\r\n");
    } else {
      pair.send(command + "\r\n");
    }
    BOOST_REQUIRE((pair.next() == Event::line));
    BOOST_TEST(pair.client->line() == command);
    BOOST_TEST(!pair.client->has_input());
    pair.client->put("+OK\r\n");
    BOOST_TEST(pair.client->flush());
    BOOST_TEST(pair.received() == "+OK\r\n");
  }
}

BOOST_AUTO_TEST_CASE(a_silent_client_is_waited_for_until_something_else_happens) {
  Pair pair;
  BOOST_TEST((pair.client->next(pair.clock.monotonic_ms() - 1) == Event::timeout));
  const std::uint64_t one = 1;
  BOOST_REQUIRE(::write(pair.wake.get(), &one, sizeof one) == static_cast<ssize_t>(sizeof one));
  BOOST_TEST((pair.next() == Event::monitor));
  // What came already goes first.
  pair.send("QUIT\r\nNOOP\r\n");
  BOOST_TEST((pair.next() == Event::line));
  BOOST_TEST((pair.next() == Event::line));
  BOOST_TEST((pair.next() == Event::monitor));
  pair.peer.reset();
  BOOST_TEST((pair.next() == Event::closed));
}

BOOST_AUTO_TEST_CASE(work_is_done_before_the_wait_for_a_quick_client) {
  Pair pair;
  unsigned works = 0;
  pair.client->while_waiting([&] { ++works; });
  // The monitor's word ends each wait at once.
  const std::uint64_t one = 1;
  BOOST_REQUIRE(::write(pair.wake.get(), &one, sizeof one) == static_cast<ssize_t>(sizeof one));
  for (unsigned turn = 0; turn < QuickLook::kQuickTurns; ++turn) BOOST_REQUIRE((pair.next() == Event::monitor));
  BOOST_TEST(works == 0U);
  for (unsigned turn = 0; turn < 10'000 && works == 0; ++turn) BOOST_REQUIRE((pair.next() == Event::monitor));
  BOOST_TEST(works == 1U);
  // A command that is there already is not waited for.
  pair.send("NOOP\r\n");
  BOOST_TEST((pair.next() == Event::line));
  BOOST_TEST(works == 1U);
}

}  // namespace
