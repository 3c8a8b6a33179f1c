// SPDX-License-Identifier: MIT
// The process dies at every call of an update, and again at every call of the recovery, and again; mail is delivered in
// between; recovery fails with every error. In the end the spool is the old or the new one, with the new mail behind
// it.
#include <boost/test/unit_test.hpp>
#include <random>

#include "tests/fault/runs.h"

namespace {

using namespace qpop;
using namespace qpop::test;

constexpr std::array kDeaths{Fault::Kind::die, Fault::Kind::die_in_write};

const char* name_of(Fault::Kind kind) {
  return kind == Fault::Kind::die ? "died at call" : "died in write";
}

/// A delivery agent that knows nothing of us, between two of our processes.
void deliver(const MaildropFixture& drop, const Scenario& s, std::vector<std::string>& delivered) {
  delivered.push_back(more_mail(s, 90 + static_cast<unsigned>(delivered.size())));
  MaildropFixture::append_file(drop.spool_path(), delivered.back());
}

struct RecoveryRun {
  bool died = false;
  bool failed = false;
  std::size_t calls = 0;
  std::string error;
};

RecoveryRun run_recovery(const MaildropFixture& drop, Fault fault) {
  Process process{drop, fault};
  process.be_later();
  const auto recovered = process.recover();
  return {.died = process.fs.dead(),
          .failed = !recovered,
          .calls = process.fs.calls(),
          .error = recovered ? "" : recovered.error().message()};
}

bool anything_to_recover(const MaildropFixture& drop) {
  return !strange_names(drop).empty();
}

BOOST_AUTO_TEST_CASE(the_process_dies_at_every_call) {
  over_scenarios([&](Campaign& c, std::size_t which, const Scenario& s) {
    for (const auto kind : kDeaths) {
      for (std::size_t at = 0; at < 400 && !c.faults.enough(); ++at) {
        if (!c.share.takes(which, at)) continue;
        bool died = true;
        for (const bool mail : {false, true}) {
          const auto run = run_update(c.drop, s, {.kind = kind, .at = at});
          died = run.died;
          std::vector<std::string> delivered;
          if (mail) deliver(c.drop, s, delivered);
          const auto what = describe(s, name_of(kind), at, run) + (mail ? ", then mail came" : "");
          ++c.runs;
          c.faults.add(what, run.wrong);
          const auto wrong =
              judge_next_session(c.drop, {.scenario = s, .delivered = delivered, .may_be_old = !run.done});
          c.faults.add(what, wrong);
        }
        if (!died) break;
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(recovery_dies_at_every_call) {
  over_scenarios([&](Campaign& c, std::size_t which, const Scenario& s) {
    for (std::size_t first = 0; first < 400 && !c.faults.enough(); ++first) {
      bool first_died = true;
      for (std::size_t second = 0; second < 400 && first_died; ++second) {
        if (!c.share.takes(which, first * 7 + second, 13)) continue;
        const auto kind = kDeaths[second % 2];
        const auto run = run_update(c.drop, s, {.kind = kDeaths[first % 2], .at = first / 2});
        first_died = run.died;
        if (!run.died || !anything_to_recover(c.drop)) break;
        std::vector<std::string> delivered;
        if ((first + second) % 3 == 1) deliver(c.drop, s, delivered);
        const auto recovery = run_recovery(c.drop, {.kind = kind, .at = second / 2});
        if ((first + second) % 3 == 2) deliver(c.drop, s, delivered);
        const auto what = describe(s, name_of(kDeaths[first % 2]), first / 2, run) + ", recovery " + name_of(kind) +
                          " " + std::to_string(second / 2);
        ++c.runs;
        const auto wrong = judge_next_session(c.drop, {.scenario = s, .delivered = delivered, .may_be_old = !run.done});
        c.faults.add(what, wrong);
        if (!recovery.died && kind == Fault::Kind::die) break;
      }
      if (!first_died && first % 2 == 0) break;
    }
  });
}

/// Three deaths and more at random places, mail in between at random.
BOOST_AUTO_TEST_CASE(process_after_process_dies) {
  const std::size_t rounds = Share{}.all() ? 400 : QPOP_SANITIZED ? 3 : 20;
  over_scenarios([&](Campaign& c, std::size_t which, const Scenario& s) {
    std::mt19937 random{static_cast<unsigned>(which)};
    for (std::size_t round = 0; round < (s.large ? rounds / 4 + 1 : rounds); ++round, ++c.runs) {
      const auto fault = [&](unsigned calls) {
        const auto kind = kDeaths[random() % 2];
        return Fault{.kind = kind, .at = random() % (kind == Fault::Kind::die ? calls : calls / 8)};
      };
      const auto run = run_update(c.drop, s, fault(90));
      std::string what = describe(s, "round", round, run);
      std::vector<std::string> delivered;
      for (int death = 0; death < 4; ++death) {
        if (random() % 3 == 0) deliver(c.drop, s, delivered);
        const auto one = fault(60);
        run_recovery(c.drop, one);
        what += std::string{", "} + name_of(one.kind) + " " + std::to_string(one.at);
      }
      const auto wrong = judge_next_session(c.drop, {.scenario = s, .delivered = delivered, .may_be_old = !run.done});
      c.faults.add(what, wrong);
    }
  });
}

/// After a death at every call that leaves something, recovery fails at every call with every error.
BOOST_AUTO_TEST_CASE(recovery_fails_at_every_call) {
  constexpr std::array kErrors{EIO, ENOSPC, EDQUOT, EINTR, EAGAIN, ESTALE, EMFILE, ENOMEM};
  over_scenarios([&](Campaign& c, std::size_t which, const Scenario& s) {
    for (std::size_t first = 0; first < 400 && !c.faults.enough(); ++first) {
      if (!run_update(c.drop, s, {.kind = Fault::Kind::die, .at = first}).died) break;
      if (!anything_to_recover(c.drop)) continue;
      std::size_t calls = 400;
      for (std::size_t second = 0; second < calls; ++second) {
        for (std::size_t error = 0; error < 2 * kErrors.size(); ++error) {
          if (!c.share.takes(which, first * 101 + second * 17 + error, 97)) continue;
          const int errno_value = kErrors[error / 2];
          const bool once = error % 2 == 0 || errno_value == EINTR;
          const auto run = run_update(c.drop, s, {.kind = Fault::Kind::die, .at = first});
          std::vector<std::string> delivered;
          if (error % 3 == 0) deliver(c.drop, s, delivered);
          const auto recovery = run_recovery(c.drop, {.kind = once ? Fault::Kind::fail_once : Fault::Kind::fail_from,
                                                      .at = second,
                                                      .errno_value = errno_value});
          calls = recovery.calls + 1;
          const auto what = describe(s, "died at call", first, run) + ", recovery failed at call " +
                            std::to_string(second) + " with errno " + std::to_string(errno_value) +
                            (once ? "" : " and on") + ": " + recovery.error;
          ++c.runs;
          if (errno_value == EINTR && recovery.failed) c.faults.add(what, "a signal is no failure");
          const auto wrong = judge_next_session(c.drop, {.scenario = s,
                                                         .delivered = delivered,
                                                         .may_be_old = !run.done,
                                                         .no_room = is_no_room({.errno_value = errno_value})});
          c.faults.add(what, wrong);
        }
      }
    }
  });
}

}  // namespace
