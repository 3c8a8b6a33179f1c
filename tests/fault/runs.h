// SPDX-License-Identifier: MIT
// One disturbed update after another in the same folder, and which of the many to take.
//
// QPOP_FAULT_ALL=1   every run, not the share that fits into a test run
// QPOP_FAULT_PART=i/n   the scenarios whose number leaves the remainder i
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "tests/fault/verdict.h"

namespace qpop::test {

class Share {
 public:
  Share() {
    const char* all = std::getenv("QPOP_FAULT_ALL");
    all_ = all != nullptr && std::string{all} == "1";
    const char* part = std::getenv("QPOP_FAULT_PART");
    if (part != nullptr && (std::sscanf(part, "%u/%u", &part_, &parts_) != 2 || parts_ == 0))
      throw std::runtime_error("QPOP_FAULT_PART is not i/n");
  }
  [[nodiscard]] bool all() const { return all_; }
  /// Is this scenario ours?
  [[nodiscard]] bool has(std::size_t scenario) const { return scenario % parts_ == part_; }
  /// Of the runs of one scenario every `thin`-th, another one in each; all when all are asked for. What is large, or
  /// instrumented, counts for more.
  [[nodiscard]] bool takes(std::size_t scenario, std::size_t run, std::size_t thin = 1) const {
    if (all_) return true;
    const std::size_t step = thin * (QPOP_SANITIZED ? 7 : 1) * (scenarios()[scenario].large ? 5 : 1);
    return (run + scenario * 31) % step == 0;
  }

 private:
  bool all_ = false;
  unsigned part_ = 0;
  unsigned parts_ = 1;
};

/// What was wrong in some of many runs: the first ones in words, all of them in number.
class Faults {
 public:
  void add(const std::string& what, const std::string& wrong) {
    if (wrong.empty()) return;
    if (++count_ <= kShown) text_ += "\n  " + what + ": " + wrong;
  }
  [[nodiscard]] std::size_t count() const { return count_; }
  /// More would say nothing new; the first one is enough when QPOP_FAULT_STOP is set.
  [[nodiscard]] bool enough() const {
    return count_ > kEnough || (count_ > 0 && std::getenv("QPOP_FAULT_STOP") != nullptr);
  }
  [[nodiscard]] std::string text() const { return std::to_string(count_) + " faults" + text_; }

 private:
  static constexpr std::size_t kShown = 8;
  static constexpr std::size_t kEnough = 200;
  std::size_t count_ = 0;
  std::string text_;
};

/// A maildrop whose session is over and whose update runs under a fault.
struct UpdateRun {
  bool done = false;      ///< success was reported, or that the messages are gone for good
  bool finished = false;  ///< success, with nothing left to do
  bool died = false;
  std::size_t calls = 0;
  std::size_t writes = 0;
  std::string error;   ///< what was reported
  std::string wrong;   ///< what is wrong with that
  std::string failed;  ///< name of the call that failed
};

/// Prepares the maildrop anew, runs the update under `fault`, compares answer and spool, locks and descriptors.
/// `prepare` may hang an intruder into the process.
inline bool is_no_room(const Fault& fault) {
  return fault.errno_value == ENOSPC || fault.errno_value == EDQUOT;
}

template <class Prepare>
UpdateRun run_update(const MaildropFixture& drop, const Scenario& s, Fault fault, std::vector<std::string>& delivered,
                     Prepare&& prepare) {
  drop.clear();
  Session session{drop, s};
  UpdateRun run;
  const std::size_t descriptors = open_descriptors();
  {
    Process process{drop, fault};
    prepare(process);
    auto request = session.request();
    request.committed = [&](std::uint64_t) { run.done = true; };
    const auto updated = process.update(request);
    const bool committed = run.done;
    // What was appended to a message without an end made another of it, which nobody deleted.
    const bool glued = updated && updated->removed == 0 && s.open_end && !delivered.empty();
    run.done = run.done || (updated.has_value() && !glued);
    run.finished = updated.has_value();
    run.died = process.fs.dead();
    run.calls = process.fs.calls();
    run.writes = process.fs.writes();
    run.error = updated ? "success" : updated.error().message();
    if (fault.at < run.calls) run.failed = process.fs.log()[fault.at];
    const Expected expected{.scenario = s, .delivered = delivered, .no_room = is_no_room(fault)};
    // When all calls fail from one on, what was done cannot be taken back, and what is told may be wrong.
    if (!run.died && !glued && (updated || fault.kind != Fault::Kind::fail_from))
      run.wrong = judge_answer(drop, updated, committed, expected);
    if (updated && !committed && !glued && !s.deleted.empty()) run.wrong = "success, and nobody was told at the commit point";
  }
  if (open_descriptors() != descriptors) run.wrong = "a descriptor is left open";
  session.end();
  return run;
}

inline UpdateRun run_update(const MaildropFixture& drop, const Scenario& s, Fault fault) {
  std::vector<std::string> nobody;
  return run_update(drop, s, fault, nobody, [](Process&) {});
}

inline std::string describe(const Scenario& s, const std::string& what, std::size_t at, const UpdateRun& run) {
  return s.name + ", " + what + " " + std::to_string(at) + (run.failed.empty() ? "" : " (" + run.failed + ")") + ", " +
         run.error;
}

/// Many disturbed updates of one test.
struct Campaign {
  Share share;
  MaildropFixture drop;
  std::size_t runs = 0;
  Faults faults;
};

/// work(campaign, number, scenario) for each scenario that is ours; fails the test when anything was wrong, or nothing
/// was run.
template <class Work>
void over_scenarios(const Work& work) {
  Campaign campaign;
  for (std::size_t which = 0; which < scenarios().size() && !campaign.faults.enough(); ++which) {
    if (campaign.share.has(which)) work(campaign, which, scenarios()[which]);
  }
  BOOST_TEST_MESSAGE(campaign.runs << " runs");
  BOOST_REQUIRE_MESSAGE(campaign.faults.count() == 0, campaign.faults.text());
  BOOST_TEST(campaign.runs > 0U);
}

}  // namespace qpop::test
