// SPDX-License-Identifier: MIT
// Whatever is done with a spool, the warnings reach the person who asked for it.
#include <boost/test/unit_test.hpp>

#include "popcheck/print.h"
#include "tests/unit/popcheck/repairs.h"

namespace {

using namespace qpop;
using namespace qpop::test;

/// A spool folder in which no lock file can be made.
class NoDotlock final : public files::Dotlock {
 public:
  base::Result<bool> try_lock(bool) override { return base::Error{base::ErrorKind::denied, "no lock file can be made here"}; }
  base::Status touch() override { return {}; }
  base::Status unlock() override { return {}; }
};

constexpr std::string_view kWarning = "  warning: no lock file can be made here; the spool is locked with fcntl and flock alone\n";

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (auto at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

std::string text_of(const Repairs& repairs, const popcheck::Outcome& outcome) { return popcheck::text_of(repairs.target(), outcome, false); }

BOOST_AUTO_TEST_CASE(repair_and_undo_tell_their_warnings) {
  Repairs repairs;
  const auto damaged = mbox_message(1).substr(kPostmark.size());
  repairs.write(damaged);
  repairs.dotlock = [] { return std::make_unique<NoDotlock>(); };
  const auto repaired = repairs.repair();
  BOOST_TEST(repaired.code == popcheck::kRepaired);
  BOOST_TEST(count(text_of(repairs, repaired), kWarning) == 1U);
  const auto undone = repairs.undo();
  BOOST_TEST(undone.code == popcheck::kRepaired);
  BOOST_TEST(count(text_of(repairs, undone), kWarning) == 1U, text_of(repairs, undone));
  // One that fails behind the locks tells them too.
  const auto failed = repairs.undo();
  BOOST_TEST(failed.code == popcheck::kFailed);
  BOOST_TEST(count(text_of(repairs, failed), kWarning) == 1U, text_of(repairs, failed));
}

BOOST_AUTO_TEST_CASE(a_plan_that_did_not_settle_is_told) {
  const Repairs repairs;
  const auto damaged = mbox_message(1).substr(kPostmark.size());
  for (const int rounds : {0, 12}) {
    check::MemoryBytes bytes{damaged};
    auto plan = check::plan_repair(bytes, {.read = {}, .most_rounds = rounds});
    BOOST_REQUIRE(plan);
    BOOST_TEST(plan->settled == (rounds == 12));
    popcheck::Outcome outcome;
    popcheck::tell_plan(outcome, *plan);
    BOOST_TEST(count(text_of(repairs, outcome), "  warning: after many rounds") == (rounds == 12 ? 0U : 1U));
  }
}

BOOST_AUTO_TEST_CASE(recovery_tells_once_what_it_set_aside) {
  for (const bool by_repair : {false, true}) {
    Repairs repairs;
    repairs.write(mbox_message(1));
    MaildropFixture::write_file(repairs.target().state + "/journal", "not a journal");
    const auto outcome = by_repair ? repairs.repair() : repairs.with(popcheck::Verb::recover, [](popcheck::Place& place) { return popcheck::recover_spool(place); });
    BOOST_TEST(count(text_of(repairs, outcome), "the journal is kept as saved-") == 1U, text_of(repairs, outcome));
  }
}

}  // namespace
