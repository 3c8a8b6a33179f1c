// SPDX-License-Identifier: MIT
// Whom a repair waits for before it has the session lock.
#include <sys/wait.h>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "common/spool/locks.h"
#include "tests/unit/popcheck/repairs.h"

namespace {

using namespace qpop;
using namespace qpop::test;

/// A process that holds the session lock for a while.
class Session {
 public:
  Session(Repairs& repairs, bool finishing, useconds_t for_us) {
    static_cast<void>(repairs.with(popcheck::Verb::check, [&](popcheck::Place& place) {
      auto lock = spool::lock_session(place.context(), place.state.get());
      if (lock && finishing) spool::mark_finishing(place.context(), lock->get());
      pid_ = lock ? ::fork() : -1;
      if (pid_ == 0) ::_exit(::usleep(for_us));
      return popcheck::Outcome{};
    }));
    BOOST_REQUIRE(pid_ > 0);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { ::waitpid(pid_, nullptr, 0); }

 private:
  pid_t pid_ = -1;
};

struct Case {
  std::string name;
  bool finishing;
  useconds_t held_us;
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

// The second is held for longer than a session that only ends is waited for.
const std::vector<Case> kCases{{"a session that has just ended", false, 300'000}, {"an update that is committed and moves the rest", true, 3'300'000}};

BOOST_DATA_TEST_CASE(a_repair_waits_for_what_is_about_to_end, kCases, c) {
  Repairs repairs;
  repairs.write(mbox_message(1).substr(kPostmark.size()));
  const Session session{repairs, c.finishing, c.held_us};
  const auto outcome = repairs.repair();
  BOOST_TEST(outcome.code == popcheck::kRepaired, outcome.message);
}

}  // namespace
