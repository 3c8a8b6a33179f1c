// SPDX-License-Identifier: MIT
// expunge = deferred under faults: a maildrop in which messages are hidden already, and an operation that dies at every call, fails at
// every call, or after which the power is lost. What was not deleted is there once and whole; what an earlier session deleted stays
// gone; what this one deletes may be back only as long as nobody was told.
#include <array>
#include <boost/test/unit_test.hpp>
#include <optional>
#include <random>

#include "tests/fault/deferred_fixture.h"
#include "tests/fault/recording_file_system.h"
#include "tests/fault/runs.h"

namespace {

using namespace qpop;
using namespace qpop::test;

enum class Operation : std::uint8_t { quit_defers, quit_rewrites, quit_is_immediate, open_rewrites };
constexpr std::array kOperations{Operation::quit_defers, Operation::quit_rewrites, Operation::quit_is_immediate, Operation::open_rewrites};
constexpr std::array kNames{"QUIT defers", "QUIT rewrites", "QUIT is immediate", "open rewrites"};

spool::MaildropSettings settings_of(Operation operation) {
  if (operation == Operation::quit_defers) return never_due();
  if (operation == Operation::quit_is_immediate) return with({.share_percent = 1000});
  return with({.deferred = true, .share_percent = 1});
}

/// Every second of those that the scenario keeps, and the last one of the session where it has none.
std::vector<unsigned> hidden_in(const Scenario& s) {
  std::vector<unsigned> out;
  const std::size_t listed = s.units.size() - (s.arrived.empty() ? 0 : 1);
  for (unsigned i = 0, kept = 0; i < listed; ++i) {
    if (!s.is_deleted(i) && kept++ % 2 == 0) out.push_back(i);
  }
  if (out.empty()) out.push_back(static_cast<unsigned>(listed - 1));
  return out;
}

bool contains(const std::vector<unsigned>& list, std::size_t value) { return std::find(list.begin(), list.end(), value) != list.end(); }

/// What a session sees: without what is hidden, and without what is deleted now when that happened.
std::vector<std::string> wanted(const Scenario& s, bool happened) {
  const auto hidden = hidden_in(s);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < s.units.size(); ++i) {
    if (!contains(hidden, i) && !(happened && s.is_deleted(i))) out.emplace_back(core_of(s.units[i]));
  }
  return out;
}

/// Without marks of read messages.
std::vector<std::string> cores(const std::vector<std::string>& contents) {
  std::vector<std::string> out;
  for (const auto& content : contents) {
    out.emplace_back(core_of(content));
    for (const std::string mark : {"Status: RO\r\n", "Status: RO\n"}) {
      if (const auto at = out.back().find(mark); at != std::string::npos) out.back().erase(at, mark.size());
    }
  }
  return out;
}

std::string strange(const MaildropFixture& drop) {
  auto names = strange_names(drop);
  std::erase(names, "expunged");
  // Without mail no index is written, so a half written one stays; it is harmless.
  if (drop.spool().empty()) std::erase(names, "index.tmp");
  return names.empty() ? "" : names.front();
}

/// A later session without faults, then the rewrite of the spool: the same is seen, and nothing else is left.
std::string judge(const MaildropFixture& drop, const Scenario& s, bool must, bool may) {
  for (const bool rewrite : {false, true}) {
    Process later{drop};
    later.be_later();
    const auto settings = rewrite ? with({.share_percent = 1}) : with({.share_percent = 1000, .compacts = false});
    const auto opened = later.open(settings);
    if (!opened) return "the next session cannot open the maildrop: " + opened.error().message();
    const auto seen = cores(visible_in(*opened));
    const bool gone = seen == wanted(s, true);
    const bool there = seen == wanted(s, false);
    if (!gone && !there) return "a session sees " + std::to_string(seen.size()) + " messages, and not those that it should";
    if (must && !gone) return "deleted messages are back after success";
    if (!may && !there) return "messages are gone after a refusal";
    if (!strange(drop).empty()) return "left in the state folder: " + strange(drop);
    if (!rewrite) continue;
    if (opened->hidden_count != 0) return "messages are hidden after the rewrite";
    std::size_t octets = 0;
    for (std::size_t i = 0; i < s.units.size(); ++i) {
      if (!contains(hidden_in(s), i) && !(gone && s.is_deleted(i))) octets += s.units[i].size();
    }
    if (drop.spool().size() < octets || drop.spool().size() > octets + 8 + 12 * s.retrieved.size()) return "the spool has other octets than those of its messages";
  }
  return {};
}

struct Outcome {
  bool done = false;
  bool refused = false;  ///< the client was told that nothing was removed
  bool died = false;
  std::size_t calls = 0;
  std::string error{};
  std::optional<std::size_t> committed{};  ///< step of the disk, with a recording process
};

/// Hides messages, then runs the operation in `process` after `begin` was called.
template <class AnyProcess, class Begin>
Outcome run(const MaildropFixture& drop, const Scenario& s, Operation operation, AnyProcess& process, const Begin& begin) {
  drop.clear();
  drop.write_spool(s.spool);
  delete_in_session(drop, hidden_in(s), never_due());
  Outcome out;
  const auto settings = settings_of(operation);
  if (operation == Operation::open_rewrites) {
    if (!s.arrived.empty()) drop.append_spool(s.arrived);
    begin();
    const auto opened = process.open(settings);
    out.error = opened ? "success" : opened.error().message();
    if (opened && !process.fs.dead() && cores(visible_in(*opened)) != wanted(s, false)) out.error = "WRONG: another listing than it should be";
  } else {
    Process opener{drop};
    const auto opened = opener.open(never_due());
    if (!opened) throw std::runtime_error(opened.error().message());
    auto request = request_for(*opened, s.deleted, s.retrieved);
    if (!s.arrived.empty()) drop.append_spool(s.arrived);
    begin();
    request.committed = [&](std::uint64_t) {
      out.done = true;
      if constexpr (requires { process.fs.steps(); }) out.committed = process.fs.steps();
    };
    const auto updated = process.update(request, settings);
    out.error = updated ? "success" : updated.error().message();
    if (updated && !out.done) out.error = "WRONG: success, and nobody was told at the commit point";
    if (updated && updated->removed != s.deleted.size()) out.error = "WRONG: a wrong number of removed messages is reported";
    const auto kind = updated ? base::ErrorKind::io : updated.error().kind();
    out.refused = !updated && !out.done && (kind == base::ErrorKind::no_space || kind == base::ErrorKind::changed);
  }
  out.died = process.fs.dead();
  out.calls = process.fs.calls();
  return out;
}

std::string text_of(const Scenario& s, Operation operation, const std::string& fault, const Outcome& outcome) {
  return s.name + ", " + kNames.at(static_cast<std::size_t>(operation)) + ", " + fault + ": " + outcome.error;
}

/// The scenarios with something to delete, and with an end: without one nothing is written down.
template <class Work>
void over_operations(const Work& work) {
  over_scenarios([&](Campaign& c, std::size_t which, const Scenario& s) {
    if (s.deleted.empty() || s.large || s.open_end) {
      ++c.runs;
      return;
    }
    for (const auto operation : kOperations) work(c, which, s, operation);
  });
}

BOOST_AUTO_TEST_CASE(deferred_deletion_without_faults) {
  over_operations([](Campaign& c, std::size_t, const Scenario& s, Operation operation) {
    Process process{c.drop};
    const auto outcome = run(c.drop, s, operation, process, [] {});
    const auto what = text_of(s, operation, "no fault", outcome);
    ++c.runs;
    if (outcome.error != "success") c.faults.add(what, "failed");
    const bool opens = operation == Operation::open_rewrites;
    if (operation == Operation::quit_defers && c.drop.spool() != s.before) c.faults.add(what, "the spool was touched");
    if (operation != Operation::quit_defers && c.drop.spool().size() >= s.before.size()) c.faults.add(what, "the spool was not rewritten");
    const auto wrong = judge(c.drop, s, !opens, !opens);
    c.faults.add(what, wrong);
  });
}

BOOST_AUTO_TEST_CASE(deferred_deletion_dies_at_every_call) {
  over_operations([](Campaign& c, std::size_t which, const Scenario& s, Operation operation) {
    for (const auto kind : {Fault::Kind::die, Fault::Kind::die_in_write}) {
      for (std::size_t at = 0; at < 400 && !c.faults.enough(); ++at) {
        if (!c.share.takes(which, at, 5)) continue;
        Process process{c.drop, {.kind = kind, .at = at}};
        const auto outcome = run(c.drop, s, operation, process, [] {});
        ++c.runs;
        const auto wrong = judge(c.drop, s, outcome.done, operation != Operation::open_rewrites);
        c.faults.add(text_of(s, operation, (kind == Fault::Kind::die ? "died at call " : "died in write ") + std::to_string(at), outcome), wrong);
        if (!outcome.died) break;
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(deferred_deletion_fails_at_every_call) {
  constexpr std::array kErrors{EIO, ENOSPC, EACCES, EMFILE, EINTR};
  over_operations([&](Campaign& c, std::size_t which, const Scenario& s, Operation operation) {
    for (std::size_t error = 0; error < 2 * kErrors.size(); ++error) {
      const bool once = error % 2 == 0;
      const int errno_value = kErrors.at(error / 2);
      if (errno_value == EINTR && !once) continue;
      for (std::size_t at = 0; at < 400 && !c.faults.enough(); ++at) {
        if (!c.share.takes(which, at + error, 23)) continue;
        Process process{c.drop, {.kind = once ? Fault::Kind::fail_once : Fault::Kind::fail_from, .at = at, .errno_value = errno_value}};
        const auto outcome = run(c.drop, s, operation, process, [] {});
        ++c.runs;
        const auto what = text_of(s, operation, "errno " + std::to_string(errno_value) + (once ? " once at call " : " from call ") + std::to_string(at), outcome);
        if (errno_value == EINTR && outcome.error != "success") c.faults.add(what, "a signal is no failure");
        // An open that cannot read the file shows all, says so, and leaves the file.
        const bool shows = operation == Operation::open_rewrites && at < process.fs.log().size() && !once;
        const bool file_was_unread = operation == Operation::open_rewrites && outcome.error.starts_with("WRONG");
        if (outcome.error.starts_with("WRONG") && !file_was_unread && !shows) c.faults.add(what, "the answer");
        const bool refused = outcome.refused && once;
        const auto wrong = judge(c.drop, s, outcome.done, operation != Operation::open_rewrites && !refused);
        c.faults.add(what, wrong);
        if (at >= outcome.calls) break;
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(power_is_lost_after_a_deferred_deletion) {
  const MaildropFixture later;
  over_operations([&](Campaign& c, std::size_t which, const Scenario& s, Operation operation) {
    const unsigned rounds = c.share.all() ? 60 : QPOP_SANITIZED ? 2 : 6;
    for (unsigned round = 0; round < rounds && !c.faults.enough(); ++round) {
      std::mt19937 random{static_cast<unsigned>(which * 1000 + round * 10 + static_cast<unsigned>(operation))};
      Fault fault;
      if (round % 3 == 1) fault = {.kind = Fault::Kind::die, .at = random() % 60};
      if (round % 3 == 2) fault = {.kind = Fault::Kind::fail_once, .at = random() % 60, .errno_value = random() % 2 == 0 ? EIO : ENOSPC};
      BasicProcess<RecordingFileSystem> process{c.drop, fault};
      const auto outcome = run(c.drop, s, operation, process, [&] { process.fs.start(c.drop); });
      for (unsigned disk = 0; disk < 8; ++disk) {
        const std::size_t steps = process.fs.steps();
        const std::size_t done = disk == 0 ? steps : random() % (steps + 1);
        restore(later, process.fs.story().after_power_loss(done, random));
        ++c.runs;
        const bool must = outcome.committed && done >= *outcome.committed;
        if (random() % 2 == 0) {
          Process boot{later};
          boot.be_later();
          static_cast<void>(boot.recover());
        }
        const auto wrong = judge(later, s, must, operation != Operation::open_rewrites);
        const auto what = text_of(s, operation, "round " + std::to_string(round) + ", power lost behind step " + std::to_string(done), outcome);
        c.faults.add(what + (wrong.empty() || c.faults.count() > 0 ? "" : "\n" + process.fs.story().text()), wrong);
      }
    }
  });
}

/// The rewrite dies anywhere, or the power is lost, and then the very message arrives once more that was removed: the spool may look as
/// it did before. Nobody deleted the new one.
BOOST_AUTO_TEST_CASE(a_twin_that_arrives_after_a_death_is_seen) {
  const MaildropFixture drop;
  const MaildropFixture later;
  const auto twin = sized_message(1, 512);
  Faults faults;
  std::size_t runs = 0;
  for (const std::size_t count : {2U, 3U}) {
    for (unsigned which = 0; which < count; ++which) {
      for (std::size_t at = 0; at < 400; ++at) {
        drop.clear();
        std::string spool;
        for (std::size_t i = 0; i < count; ++i) spool += twin;
        drop.write_spool(spool);
        delete_in_session(drop, {which}, never_due());
        BasicProcess<RecordingFileSystem> process{drop, {.kind = Fault::Kind::die, .at = at}};
        process.fs.start(drop);
        static_cast<void>(process.open(with({.share_percent = 1})));
        std::mt19937 random{static_cast<unsigned>(at)};
        for (unsigned disk = 0; disk < 12; ++disk) {
          const bool power = disk > 0;
          const auto& place = power ? later : drop;
          if (power) restore(later, process.fs.story().after_power_loss(random() % (process.fs.steps() + 1), random));
          {
            // As at boot, or by the monitor: before mail comes.
            Process boot{place};
            boot.be_later();
            static_cast<void>(boot.recover());
          }
          place.append_spool(twin);
          Process next{place};
          next.be_later();
          const auto opened = next.open(with({.share_percent = 1000, .compacts = false}));
          const auto seen = opened ? visible_in(*opened).size() : 0;
          ++runs;
          if (seen != count) {
            faults.add("twin " + std::to_string(which) + " of " + std::to_string(count) + ", died at call " + std::to_string(at) + (power ? ", power lost" : ""),
                       std::to_string(seen) + " messages are seen");
          }
        }
        if (!process.fs.dead()) break;
      }
    }
  }
  BOOST_TEST_MESSAGE(runs << " runs");
  BOOST_REQUIRE_MESSAGE(faults.count() == 0, faults.text());
}

}  // namespace
