// SPDX-License-Identifier: MIT
// Every call of an update fails once, or for good, or is the last one of its process; after recovery every kept message
// is there exactly once, and what was marked is gone altogether or back altogether.
#include <boost/test/unit_test.hpp>

#include "tests/fault/scenarios.h"

namespace {

using namespace qpop;
using namespace qpop::test;

/// Seconds count, and the instrumented build is slow.
constexpr std::size_t kStride = QPOP_SANITIZED ? 3 : 1;

enum class Outcome { removed, failed, died };

struct Run {
  Outcome outcome;
  std::size_t calls;
  std::size_t writes;
  std::string error;
};

/// One update under a fault, in a process of its own.
Run run_update(const MaildropFixture& drop, const Session& session, Fault fault) {
  Process process{drop, fault};
  const auto updated = process.update(session.request());
  const auto outcome = process.fs.dead() ? Outcome::died : updated ? Outcome::removed : Outcome::failed;
  return {outcome, process.fs.calls(), process.fs.writes(), updated ? "" : updated.error().message()};
}

/// The maildrop as the next session finds it, some time later and without faults.
void recover_and_check(const MaildropFixture& drop, const Scenario& s, const Run& run, const std::string& delivered,
                       const std::string& what) {
  Process later{drop};
  later.be_later();
  const auto opened = later.open();
  BOOST_REQUIRE_MESSAGE(opened.has_value(), what << ": " << (opened ? "" : opened.error().message()));
  const std::string got = drop.spool();
  const bool is_old = got == s.before + delivered;
  const bool is_new = got == s.after + delivered || got == s.after_full_disk + delivered;
  BOOST_REQUIRE_MESSAGE(is_old || is_new, what << ": neither the old nor the new spool, " << got.size() << " octets");
  if (run.outcome == Outcome::removed) BOOST_REQUIRE_MESSAGE(is_new, what << ": success was reported too early");
  BOOST_REQUIRE_MESSAGE(
      !std::filesystem::exists(drop.lock_path()) || opened->source == spool::ListingSource::from_index || got.empty(),
      what << ": lock file left");
  for (const auto& name : drop.state_names()) {
    const bool known = name == "index" || name == "index.tmp" || name == "session" || name == "reserve";
    BOOST_REQUIRE_MESSAGE(known, what << ": " << name << " left");
  }
  // What the listing says is what a scan from nothing says.
  const auto reader = listing::ListingReader::open(opened->listing.get());
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < reader->count(); ++i) {
    const auto message = reader->message(i);
    BOOST_REQUIRE(message.has_value());
    BOOST_REQUIRE_MESSAGE(message->unit_offset == end, what << ": messages do not follow each other");
    end += message->unit_length;
  }
  BOOST_REQUIRE_MESSAGE(end == got.size(), what << ": octets without a message");
}

std::string describe(const Scenario& s, const char* kind, std::size_t at) {
  return s.name + ", " + kind + " " + std::to_string(at);
}

struct Kind {
  const char* name;
  Fault::Kind kind;
  int errno_value;
};

BOOST_AUTO_TEST_CASE(every_call_fails) {
  std::size_t runs = 0;
  const auto all = scenarios();
  for (std::size_t which = 0; which < all.size(); which += kStride) {
    const auto& s = all[which];
    for (const auto& [name, kind, errno_value] :
         {Kind{"EIO once", Fault::Kind::fail_once, EIO}, Kind{"ENOSPC once", Fault::Kind::fail_once, ENOSPC},
          Kind{"EINTR once", Fault::Kind::fail_once, EINTR}, Kind{"EIO from", Fault::Kind::fail_from, EIO},
          Kind{"ENOSPC from", Fault::Kind::fail_from, ENOSPC}}) {
      if (kind == Fault::Kind::fail_from && which % 3 != 0) continue;
      for (std::size_t at = 0;; ++at, ++runs) {
        MaildropFixture drop;
        Session session{drop, s};
        const auto run = run_update(drop, session, {.kind = kind, .at = at, .errno_value = errno_value});
        session.end();
        const auto what = describe(s, name, at) + " (" + run.error + ")";
        if (errno_value == EINTR)
          BOOST_REQUIRE_MESSAGE(run.outcome == Outcome::removed, what << ": a signal is no failure");
        recover_and_check(drop, s, run, "", what);
        if (at >= run.calls) break;
      }
    }
  }
  BOOST_TEST_MESSAGE(runs << " runs");
}

BOOST_AUTO_TEST_CASE(every_write_is_short) {
  for (const auto& s : scenarios()) {
    for (std::size_t at = 0;; ++at) {
      MaildropFixture drop;
      Session session{drop, s};
      const auto run = run_update(drop, session, {.kind = Fault::Kind::short_write, .at = at});
      session.end();
      BOOST_REQUIRE_MESSAGE(run.outcome == Outcome::removed, describe(s, "short write", at) << ": " << run.error);
      recover_and_check(drop, s, run, "", describe(s, "short write", at));
      if (at >= run.writes) break;
    }
  }
}

BOOST_AUTO_TEST_CASE(the_process_dies_at_every_call) {
  for (const auto& s : scenarios()) {
    for (const auto kind : {Fault::Kind::die, Fault::Kind::die_in_write}) {
      for (const bool deliver : {false, true}) {
        for (std::size_t at = 0;; ++at) {
          MaildropFixture drop;
          Session session{drop, s};
          const auto run = run_update(drop, session, {.kind = kind, .at = at});
          session.end();
          const std::string what = describe(s, kind == Fault::Kind::die ? "died at" : "died in write", at);
          // A delivery agent that knows nothing of us, between the crash and the recovery.
          const bool open_end = s.after.size() > s.before.size() || s.name.find("no end") != std::string::npos;
          const std::string delivered = deliver && !open_end ? s.delivery : "";
          if (!delivered.empty()) MaildropFixture::append_file(drop.spool_path(), delivered);
          recover_and_check(drop, s, run, delivered, what + (delivered.empty() ? "" : ", then mail came"));
          if (run.outcome != Outcome::died) break;
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_process_dies_and_recovery_dies_too) {
  const auto all = scenarios();
  for (const std::size_t which : {std::size_t{1}, std::size_t{6}, all.size() - 1, all.size() - 2}) {
    const auto& s = all[which];
    for (std::size_t first = 0;; ++first) {
      bool died = true;
      for (std::size_t second = 0;; ++second) {
        MaildropFixture drop;
        Session session{drop, s};
        const auto run = run_update(drop, session, {.kind = Fault::Kind::die, .at = first});
        session.end();
        died = run.outcome == Outcome::died;
        if (!died || !std::filesystem::exists(drop.state_path("journal"))) break;
        const bool deliver = second % 2 == 1 && s.name.find("no end") == std::string::npos;
        const std::string delivered = deliver ? s.delivery : "";
        if (deliver) MaildropFixture::append_file(drop.spool_path(), delivered);
        bool recovered = false;
        {
          const auto kind = second % 3 == 2 ? Fault::Kind::die_in_write : Fault::Kind::die;
          Process process{drop, {.kind = kind, .at = kind == Fault::Kind::die ? second : second / 3}};
          process.be_later();
          recovered = process.recover().has_value() && !process.fs.dead();
        }
        const std::string what = describe(s, "died at", first) + ", recovery died at " + std::to_string(second);
        recover_and_check(drop, s, run, delivered, what);
        if (recovered && second % 3 != 2) break;
      }
      if (!died) break;
    }
  }
}

BOOST_AUTO_TEST_CASE(every_call_of_a_recovery_fails) {
  const auto all = scenarios();
  for (const std::size_t which : {std::size_t{2}, std::size_t{7}}) {
    const auto& s = all[which];
    for (std::size_t first = 0;; ++first) {
      bool died = true;
      for (std::size_t second = 0;; ++second) {
        MaildropFixture drop;
        Session session{drop, s};
        const auto run = run_update(drop, session, {.kind = Fault::Kind::die, .at = first});
        session.end();
        died = run.outcome == Outcome::died;
        if (!died || !std::filesystem::exists(drop.state_path("journal"))) break;
        Process process{drop,
                        {.kind = Fault::Kind::fail_once, .at = second, .errno_value = second % 2 == 0 ? EIO : ENOSPC}};
        process.be_later();
        static_cast<void>(process.recover());
        const auto calls = process.fs.calls();
        recover_and_check(drop, s, run, "",
                          describe(s, "died at", first) + ", recovery failed at " + std::to_string(second));
        if (second >= calls) break;
      }
      if (!died) break;
    }
  }
}

BOOST_AUTO_TEST_CASE(opening_fails_at_every_call_and_leaves_the_spool_alone) {
  const auto s = scenarios().front();
  for (const auto& kind :
       {Fault::Kind::fail_once, Fault::Kind::fail_from, Fault::Kind::die, Fault::Kind::die_in_write}) {
    for (std::size_t at = 0;; ++at) {
      MaildropFixture drop;
      drop.write_spool(s.spool);
      std::size_t calls = 0;
      bool died = false;
      {
        Process process{drop, {.kind = kind, .at = at}};
        const auto opened = process.open();
        died = process.fs.dead();
        if (opened && !died) BOOST_REQUIRE(opened->count == 5U);
        calls = process.fs.calls();
      }
      BOOST_REQUIRE(drop.spool() == s.spool);
      Process later{drop};
      later.be_later();
      const auto opened = later.open();
      BOOST_REQUIRE(opened.has_value());
      BOOST_REQUIRE(opened->count == 5U);
      if (at >= calls || (kind == Fault::Kind::die_in_write && !died)) break;
    }
  }
}

}  // namespace
