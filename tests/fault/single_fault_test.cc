// SPDX-License-Identifier: MIT
// Every call of an update fails, with every error, once and from then on; every transfer is cut short. The spool is the
// old or the new one, the answer is honest, nothing is left, and the next session works.
#include <boost/test/unit_test.hpp>

#include "tests/fault/runs.h"

namespace {

using namespace qpop;
using namespace qpop::test;

struct Way {
  const char* name;
  Fault::Kind kind;
  int errno_value = EIO;
};

bool errno_is_no_room(const Way& way) {
  return is_no_room({.errno_value = way.errno_value});
}

constexpr std::array kErrors{std::pair{"EIO", EIO},       std::pair{"ENOSPC", ENOSPC}, std::pair{"EDQUOT", EDQUOT},
                             std::pair{"EAGAIN", EAGAIN}, std::pair{"ESTALE", ESTALE}, std::pair{"EMFILE", EMFILE},
                             std::pair{"ENOMEM", ENOMEM}};

/// A lock file, or a file that was being written, stays when the very call fails that removes it.
bool removal_failed(const UpdateRun& run) {
  return run.failed.starts_with("unlink") || run.failed.find("ada.lock") != std::string::npos ||
         run.failed.starts_with("rename");
}

/// After a single failed call nothing waits for anybody: no lock, no half written file.
std::string judge_leftovers(const MaildropFixture& drop, const UpdateRun& run) {
  if (removal_failed(run)) return {};
  if (::access(drop.lock_path().c_str(), F_OK) == 0) return "the lock file is left";
  for (const auto& name : strange_names(drop)) {
    if (name.ends_with(".tmp")) return name + " is left";
    if (run.finished && name == "journal" && run.failed != "sync_directory") return "success, and the journal is left";
  }
  return {};
}

void fail_each_call(Campaign& c, std::size_t which, const Scenario& s, const std::string& name, const Way& way) {
  for (std::size_t at = 0; !c.faults.enough(); ++at) {
    const bool once = way.kind == Fault::Kind::fail_once;
    if (!c.share.takes(which, at + static_cast<std::size_t>(way.errno_value), once ? 3 : 5)) {
      if (at > 400) break;  // no update has so many calls
      continue;
    }
    const auto run = run_update(c.drop, s, {.kind = way.kind, .at = at, .errno_value = way.errno_value});
    const auto what = describe(s, name + (once ? " once at call" : " from call"), at, run);
    ++c.runs;
    c.faults.add(what, run.wrong);
    if (once) {
      const auto left = judge_leftovers(c.drop, run);
      c.faults.add(what, left);
    }
    const auto wrong = judge_next_session(
        c.drop, {.scenario = s, .delivered = {}, .may_be_old = !run.done, .no_room = errno_is_no_room(way)});
    c.faults.add(what, wrong);
    if (at >= run.calls) break;
  }
}

BOOST_AUTO_TEST_CASE(every_call_fails_with_every_error) {
  over_scenarios([&](Campaign& c, std::size_t which, const Scenario& s) {
    for (const auto& [name, errno_value] : kErrors) {
      for (const auto kind : {Fault::Kind::fail_once, Fault::Kind::fail_from})
        fail_each_call(c, which, s, name, {.name = name, .kind = kind, .errno_value = errno_value});
    }
  });
}

/// A signal is no failure, be it once or at every second call, and neither is a transfer that does a part.
BOOST_AUTO_TEST_CASE(signals_and_short_transfers_are_no_failures) {
  constexpr std::array kWays{Way{"EINTR once at call", Fault::Kind::fail_once, EINTR},
                             Way{"EINTR at every second call from", Fault::Kind::fail_alternate, EINTR},
                             Way{"short write", Fault::Kind::short_write},
                             Way{"short transfers from", Fault::Kind::short_transfers}};
  over_scenarios([&](Campaign& c, std::size_t which, const Scenario& s) {
    for (const auto& way : kWays) {
      for (std::size_t at = 0;; ++at) {
        // Each read of a half asks for the rest by halves: a hundred times the calls.
        const std::size_t thin = way.kind == Fault::Kind::short_transfers ? 11 : 1;
        if (at > 400 || c.faults.enough()) break;
        if (!c.share.takes(which, at, thin)) continue;
        const auto run = run_update(c.drop, s, {.kind = way.kind, .at = at, .errno_value = way.errno_value});
        const auto what = describe(s, way.name, at, run);
        ++c.runs;
        if (!run.finished) c.faults.add(what, "reported as failed");
        c.faults.add(what, run.wrong);
        if (::access(c.drop.lock_path().c_str(), F_OK) == 0) c.faults.add(what, "the lock file is left");
        const auto strange = strange_name(c.drop);
        if (!strange.empty()) c.faults.add(what, strange + " is left");
        const auto wrong = judge_next_session(c.drop, {.scenario = s, .delivered = {}, .may_be_old = false});
        c.faults.add(what, wrong);
        if (at >= (way.kind == Fault::Kind::short_write ? run.writes : run.calls)) break;
      }
    }
  });
}

/// A program that takes no locks appends a message before each call in turn.
BOOST_AUTO_TEST_CASE(mail_arrives_without_locks_before_every_call) {
  over_scenarios([&](Campaign& c, std::size_t which, const Scenario& s) {
    if (s.open_end && s.mmdf()) return;  // what is appended to it makes no MMDF maildrop, with us or without
    if (s.open_end && s.deleted.size() > 1) return;  // it is another message then, which nobody deleted, and the others go
    for (std::size_t at = 0;; ++at) {
      if (at > 400 || c.faults.enough()) break;
      if (!c.share.takes(which, at, 2)) continue;
      std::vector<std::string> delivered;
      bool past = false;
      const auto intruder = [&](FaultFileSystem& fs, std::string_view call) {
        if (past || fs.calls() < at) return;
        // Between the last look at the size and the cut there is nothing that could be done; only a lease helps.
        if (call == "truncate") return;
        past = true;
        const base::UniqueFd fd{::open(c.drop.spool_path().c_str(), O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC)};
        if (!fd.valid()) return;  // a lease: he tries again later
        if (::write(fd.get(), s.delivery.data(), s.delivery.size()) < 0) return;
        delivered.push_back(s.delivery);
      };
      const auto run = run_update(c.drop, s, {}, delivered, [&](Process& process) { process.fs.intruder = intruder; });
      const auto what = describe(s, "mail came before call", at, run);
      ++c.runs;
      c.faults.add(what, run.wrong);
      const auto strange = strange_name(c.drop);
      if (!strange.empty()) c.faults.add(what, strange + " is left");
      const auto wrong = judge_next_session(c.drop, {.scenario = s, .delivered = delivered, .may_be_old = !run.done});
      c.faults.add(what, wrong);
      if (!past) break;
    }
  });
}

BOOST_AUTO_TEST_CASE(opening_fails_at_every_call_and_leaves_the_spool_alone) {
  const MaildropFixture drop;
  const auto& s = scenario("mbox, first");
  for (const auto& way : {Way{"EIO once", Fault::Kind::fail_once}, Way{"EIO from", Fault::Kind::fail_from},
                          Way{"ENOSPC from", Fault::Kind::fail_from, ENOSPC}, Way{"die", Fault::Kind::die},
                          Way{"die in write", Fault::Kind::die_in_write}}) {
    for (std::size_t at = 0;; ++at) {
      drop.clear();
      drop.write_spool(s.spool);
      const std::size_t descriptors = open_descriptors();
      std::size_t calls = 0;
      bool died = false;
      {
        Process process{drop, {.kind = way.kind, .at = at, .errno_value = way.errno_value}};
        const auto opened = process.open();
        died = process.fs.dead();
        if (opened && !died) BOOST_REQUIRE(opened->count == 5U);
        calls = process.fs.calls();
      }
      BOOST_REQUIRE(open_descriptors() == descriptors);
      BOOST_REQUIRE(drop.spool() == s.spool);
      const auto wrong = judge_next_session(drop, {.scenario = s, .delivered = {}, .may_be_new = false});
      BOOST_REQUIRE_MESSAGE(wrong.empty(), way.name << " at " << at << ": " << wrong);
      if (at >= calls || (way.kind == Fault::Kind::die_in_write && !died)) break;
    }
  }
}

}  // namespace
