// SPDX-License-Identifier: MIT
// The ledger leads to its spool, whatever that is called.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "popcheck/ledger.h"
#include "tests/unit/popcheck/repairs.h"

namespace {

using namespace qpop;
using namespace qpop::test;

const std::string kLacking = mbox_message(1).substr(kPostmark.size());

BOOST_DATA_TEST_CASE(a_ledger_names_its_spool_octet_by_octet,
                     boost::unit_test::data::make({"plain", "b\xC3\xBC" "cher", "a \\ blank", " edges ", "\xFF\xFE"}), name) {
  Repairs repairs{name};
  repairs.write(kLacking);
  const auto repaired = repairs.repair();
  BOOST_REQUIRE_MESSAGE(repaired.code == popcheck::kRepaired, repaired.message);
  const auto read = repairs.with(popcheck::Verb::verify, [&](popcheck::Place& place) {
    const auto ledger = popcheck::read_ledger(place.fs, place.state.get(), repaired.ledger.substr(repaired.ledger.rfind('/') + 1));
    BOOST_REQUIRE(ledger);
    BOOST_TEST(ledger->spool == repairs.target().path());
    return popcheck::Outcome{};
  });
  BOOST_TEST(read.code == popcheck::kClean);
}

BOOST_DATA_TEST_CASE(a_path_that_would_break_the_lines_is_refused, boost::unit_test::data::make({"a\nspool b", "a\tb", "a\x7F"}), name) {
  Repairs repairs{name};
  repairs.write(kLacking);
  const auto refused = repairs.repair();
  BOOST_TEST(refused.code == popcheck::kFailed);
  BOOST_TEST(refused.message.find("control octets") != std::string::npos, refused.message);
  BOOST_TEST(repairs.spool() == kLacking);
  for (const auto& left : repairs.state_names()) BOOST_TEST(left == "session");
}

}  // namespace
