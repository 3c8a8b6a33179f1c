// SPDX-License-Identifier: MIT
// Power is lost behind every step of an update, and of the recovery after it; writes that were not synced are lost or
// kept at random, sector by sector. Each disk that this can leave must recover to the old or the new spool.
#include <boost/test/unit_test.hpp>

#include "tests/fault/recording_file_system.h"
#include "tests/fault/scenarios.h"

namespace {

using namespace qpop;
using namespace qpop::test;
using RecordingProcess = BasicProcess<RecordingFileSystem>;

constexpr int kDisksPerStep = QPOP_SANITIZED ? 4 : 10;

struct Want {
  const Scenario& scenario;
  std::string delivered;
  bool must_be_new = false;
};

void check(const MaildropFixture& drop, const Want& want, const std::string& what) {
  Process later{drop};
  later.be_later();
  const auto opened = later.open();
  BOOST_REQUIRE_MESSAGE(opened.has_value(), what << ": " << (opened ? "" : opened.error().message()));
  const auto got = drop.spool();
  const bool is_new = got == want.scenario.after + want.delivered;
  const bool is_old = got == want.scenario.before + want.delivered;
  BOOST_REQUIRE_MESSAGE(is_new || is_old, what << ": neither the old nor the new spool");
  if (want.must_be_new) BOOST_REQUIRE_MESSAGE(is_new, what << ": removed mail came back after success was reported");
  BOOST_REQUIRE_MESSAGE(!std::filesystem::exists(drop.state_path("journal")), what << ": journal left");
  BOOST_REQUIRE_MESSAGE((got.empty() ? 0 : contents_of(*opened).size()) == opened->count, what);
}

bool can_be_delivered_to(const Scenario& s) {
  return s.name.find("no end") == std::string::npos;
}

BOOST_AUTO_TEST_CASE(power_is_lost_behind_every_step) {
  std::mt19937 random{19961};
  std::size_t disks = 0;
  for (const auto& s : scenarios()) {
    MaildropFixture drop;
    Session session{drop, s};
    RecordingProcess process{drop};
    process.fs.start(drop);
    BOOST_REQUIRE(process.update(session.request()).has_value());
    session.end();
    for (std::size_t done = 0; done <= process.fs.steps(); ++done) {
      for (int i = 0; i < kDisksPerStep; ++i, ++disks) {
        MaildropFixture after;
        restore(after, process.fs.after_power_loss(done, random));
        Want want{.scenario = s, .delivered = {}, .must_be_new = done == process.fs.steps()};
        if (i % 3 == 2 && can_be_delivered_to(s)) {
          want.delivered = s.delivery;
          MaildropFixture::append_file(after.spool_path(), want.delivered);
        }
        check(after, want, s.name + ", power lost behind step " + std::to_string(done));
      }
    }
  }
  BOOST_TEST_MESSAGE(disks << " disks");
}

BOOST_AUTO_TEST_CASE(power_is_lost_again_during_recovery) {
  std::mt19937 random{19962};
  std::size_t disks = 0;
  for (const auto& s : scenarios()) {
    if (s.name.find("first") == std::string::npos && s.name.find("every second") == std::string::npos) continue;
    MaildropFixture drop;
    Session session{drop, s};
    RecordingProcess process{drop};
    process.fs.start(drop);
    BOOST_REQUIRE(process.update(session.request()).has_value());
    session.end();
    for (std::size_t done = 0; done <= process.fs.steps(); ++done) {
      MaildropFixture after;
      restore(after, process.fs.after_power_loss(done, random));
      if (!std::filesystem::exists(after.state_path("journal"))) continue;
      Want want{.scenario = s, .delivered = {}};
      if (done % 2 == 0 && can_be_delivered_to(s)) {
        want.delivered = s.delivery;
        MaildropFixture::append_file(after.spool_path(), want.delivered);
      }
      RecordingProcess recovery{after};
      recovery.be_later();
      recovery.fs.start(after);
      BOOST_REQUIRE(recovery.recover().has_value());
      for (std::size_t again = 0; again <= recovery.fs.steps(); ++again) {
        for (int i = 0; i < kDisksPerStep / 2; ++i, ++disks) {
          MaildropFixture third;
          restore(third, recovery.fs.after_power_loss(again, random));
          check(third, want,
                s.name + ", power lost behind step " + std::to_string(done) + " and " + std::to_string(again));
        }
      }
    }
  }
  BOOST_TEST_MESSAGE(disks << " disks");
}

/// What a dead process wrote without sync is in the page cache for its successor, and gone after a power loss.
BOOST_AUTO_TEST_CASE(a_process_dies_another_recovers_then_power_is_lost) {
  std::mt19937 random{19963};
  std::size_t disks = 0;
  const auto all = scenarios();
  for (const std::size_t which : {std::size_t{0}, std::size_t{6}, all.size() - 1, all.size() / 2}) {
    const auto& s = all[which];
    for (std::size_t round = 0;; ++round) {
      const std::size_t call = round / 2;
      MaildropFixture drop;
      Session session{drop, s};
      RecordingProcess process{drop, {.kind = Fault::Kind::die, .at = call}};
      process.fs.start(drop);
      static_cast<void>(process.update(session.request()));
      session.end();
      if (!process.fs.dead()) break;
      if (!std::filesystem::exists(drop.state_path("journal"))) continue;
      process.fs.revive();
      process.be_later();
      const std::size_t died = process.fs.steps();
      const std::string delivered = round % 2 == 0 && can_be_delivered_to(s) ? s.delivery : "";
      if (!delivered.empty()) process.fs.deliver(drop, delivered);
      const std::size_t from = process.fs.steps();
      BOOST_REQUIRE(process.recover().has_value());
      for (std::size_t done = from; done <= process.fs.steps(); ++done) {
        for (int i = 0; i < kDisksPerStep / 3; ++i, ++disks) {
          MaildropFixture after;
          restore(after, process.fs.after_power_loss(done, random));
          check(after, {.scenario = s, .delivered = delivered, .must_be_new = done == process.fs.steps()},
                s.name + ", died behind step " + std::to_string(died) + ", power lost behind step " +
                    std::to_string(done) + process.fs.story());
        }
      }
    }
  }
  BOOST_TEST_MESSAGE(disks << " disks");
}

/// What is not synced by whoever delivers is not ours to save, but what he synced is.
BOOST_AUTO_TEST_CASE(the_model_sees_a_missing_sync) {
  MaildropFixture drop;
  drop.write_spool("old content");
  RecordingProcess process{drop};
  process.fs.start(drop);
  auto fd = process.fs.open_at(drop.spool_folder(), "ada", O_RDWR, 0);
  BOOST_REQUIRE(fd.has_value());
  BOOST_REQUIRE(process.fs.write_at(fd->get(), "new", 0).has_value());
  std::mt19937 random{1};
  bool lost = false;
  bool kept = false;
  for (int i = 0; i < 50; ++i) {
    const auto disk = process.fs.after_power_loss(process.fs.steps(), random);
    lost = lost || disk.at("spool") == "old content";
    kept = kept || disk.at("spool") == "new content";
  }
  BOOST_TEST(lost);
  BOOST_TEST(kept);
  BOOST_REQUIRE(process.fs.sync(fd->get()).has_value());
  for (int i = 0; i < 50; ++i) {
    BOOST_TEST(process.fs.after_power_loss(process.fs.steps(), random).at("spool") == "new content");
  }
}

}  // namespace
