// SPDX-License-Identifier: MIT
// The process that scans with a maildrop process, in earnest.
#include "popper/maildrop/scan_process.h"

#include <sched.h>
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <vector>

#include "tests/fault/maildrop_fixture.h"

namespace {

using namespace qpop;
using maildrop::ScanProcess;
using spool::ScanPart;
using test::MaildropFixture;

/// Why not; "" when there is one.
boost::test_tools::assertion_result has_two_processors(boost::unit_test::test_unit_id) {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  boost::test_tools::assertion_result result{::sched_getaffinity(0, sizeof usable, &usable) == 0 && CPU_COUNT(&usable) > 1};
  result.message() << "one processor: no such process is started";
  return result;
}

/// A spool that is worth a second process, and where its messages begin.
class LargeSpool {
 public:
  LargeSpool() {
    std::string text;
    for (unsigned number = 0; text.size() <= spool::kWorthHelp; ++number) {
      begins_.push_back(text.size());
      text += test::mbox_message(number, 200'000);
    }
    end_ = text.size();
    drop_.write_spool(text);
  }
  [[nodiscard]] spool::MaildropPaths paths() const { return drop_.paths(); }
  [[nodiscard]] std::size_t count() const { return begins_.size(); }
  /// From that message to the end.
  [[nodiscard]] ScanPart part(std::size_t index) const {
    struct stat status {};
    BOOST_REQUIRE(::stat(drop_.spool_path().c_str(), &status) == 0);
    return {.device = status.st_dev, .inode = status.st_ino, .offset = begins_.at(index), .end = end_};
  }

 private:
  MaildropFixture drop_;
  std::vector<std::uint64_t> begins_;
  std::uint64_t end_ = 0;
};

const auto kTwoProcessors = boost::unit_test::precondition(has_two_processors);

BOOST_AUTO_TEST_CASE(finds_the_messages_of_its_part, *kTwoProcessors) {
  const LargeSpool spool;
  const auto process = ScanProcess::start(spool.paths());
  BOOST_REQUIRE(process != nullptr);
  const auto half = spool.count() / 2;
  BOOST_REQUIRE(process->begin(spool.part(half)));
  const auto found = process->finish([] {});
  BOOST_REQUIRE(found.has_value());
  BOOST_TEST(found->size() == spool.count() - half);
  BOOST_TEST(found->front().offset == spool.part(half).offset);
}

BOOST_AUTO_TEST_CASE(one_that_was_dismissed_answers_no_other_question, *kTwoProcessors) {
  const LargeSpool spool;
  const auto process = ScanProcess::start(spool.paths());
  BOOST_REQUIRE(process != nullptr);
  BOOST_REQUIRE(process->begin(spool.part(1)));
  process->dismiss();
  BOOST_TEST(!process->begin(spool.part(spool.count() / 2)));
  BOOST_TEST(!process->finish([] {}).has_value());
}

BOOST_AUTO_TEST_CASE(small_spools_get_none) {
  MaildropFixture drop;
  drop.write_spool(test::mbox_message(1));
  BOOST_TEST((ScanProcess::start(drop.paths()) == nullptr));
}

}  // namespace
