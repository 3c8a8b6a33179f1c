// SPDX-License-Identifier: MIT
// A repair that is taken back: every octet of before, and the mail that came since behind it.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/unit/popcheck/repairs.h"

namespace {

using namespace qpop;
using namespace qpop::test;

struct Case {
  std::string name;
  std::string before;
  std::string later;
  std::string gap{};  ///< what must stand between the two
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

const std::vector<Case>& cases() {
  static const std::vector<Case> all = [] {
    const auto two = mbox_message(1) + mbox_message(2);
    const auto units = mmdf_message(1) + mmdf_message(2);
    const auto unit = mmdf_message(7);
    const auto open = units.substr(0, units.size() - kSeparator.size());
    const auto at = mmdf_message(1).size();
    return std::vector<Case>{
        {"mbox, the first From_ line lost", two.substr(kPostmark.size()), mbox_message(7)},
        {"mbox, the empty line at the end lost", two.substr(kPostmark.size(), two.size() - kPostmark.size() - 1), mbox_message(7), "\n"},
        {"mbox, cut in a line", two.substr(kPostmark.size(), two.size() - kPostmark.size() - 9), mbox_message(7), "\n\n"},
        {"MMDF, the first separator lost", units.substr(kSeparator.size()), unit},
        {"MMDF, a separator in the middle lost", units.substr(0, at) + units.substr(at + kSeparator.size()), unit},
        {"MMDF, text between two units", units.substr(0, at) + "stray\n" + units.substr(at), unit},
        {"MMDF, empty lines behind the last unit", units + "\n\n", unit},
        {"MMDF, the last separator without its line end, and text between", units.substr(0, at) + "stray\n" + units.substr(at, units.size() - at - 1), unit, "\n"},
        {"MMDF, not closed", open, unit, kSeparator},
        {"MMDF, cut in a line", open.substr(0, open.size() - 5), unit, "\n" + kSeparator},
        {"MMDF, zeros in front", std::string(600, '\0') + units, unit},
        {"MMDF, zeros in front and the first separator lost", std::string(600, '\0') + units.substr(kSeparator.size()), unit},
        {"MMDF, zeros at the end", units + std::string(600, '\0'), unit, "\n"},
    };
  }();
  return all;
}

BOOST_DATA_TEST_CASE(an_undo_gives_back_every_octet, cases(), c) {
  Repairs repairs;
  repairs.write(c.before);
  const auto repaired = repairs.repair();
  BOOST_REQUIRE_MESSAGE(repaired.code == popcheck::kRepaired, repaired.message);
  const auto undone = repairs.undo();
  BOOST_REQUIRE_MESSAGE(undone.code == popcheck::kRepaired, undone.message);
  BOOST_TEST(repairs.spool() == c.before);
}

BOOST_DATA_TEST_CASE(mail_that_came_since_stands_behind_it_as_a_message_of_its_own, cases(), c) {
  Repairs repairs;
  repairs.write(c.before);
  BOOST_REQUIRE(repairs.repair().code == popcheck::kRepaired);
  const auto served = repairs.repair().report.served;
  repairs.append(c.later);
  const auto undone = repairs.undo();
  BOOST_REQUIRE_MESSAGE(undone.code == popcheck::kRepaired, undone.message);
  BOOST_TEST(repairs.spool() == c.before + c.gap + c.later);
  static_cast<void>(repairs.repair());
  const auto again = repairs.repair();
  BOOST_TEST(again.result == "clean");
  BOOST_TEST(again.report.served == served + 1);
  BOOST_TEST(repairs.spool().ends_with(c.later));
}

}  // namespace
