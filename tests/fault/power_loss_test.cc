// SPDX-License-Identifier: MIT
// The short form of soak_power_loss, and proof that its model of a disk sees what it must.
#include <boost/test/unit_test.hpp>

#include "tests/fault/power_runs.h"
#include "tests/fault/runs.h"

namespace {

using namespace qpop;
using namespace qpop::test;
using RecordingProcess = BasicProcess<RecordingFileSystem>;

BOOST_AUTO_TEST_CASE(power_is_lost_at_any_point) {
  const Share share;
  PowerRuns runs;
  Faults faults;
  const std::uint64_t stories = QPOP_SANITIZED ? 60 : share.all() ? 12'000 : 600;
  for (std::uint64_t seed = 1; seed <= stories; ++seed) {
    if (!share.has(seed) || faults.enough()) continue;
    const auto fault = runs.run(seed);
    faults.add("story", fault);
  }
  BOOST_TEST_MESSAGE(runs.counts().text());
  BOOST_REQUIRE_MESSAGE(faults.count() == 0, faults.text());
}

/// Power is lost in the middle of a move, and one sector in the middle of a long message is the old one; a mail reader
/// rewrites the spool before the recovery. Beginning and length of the torn message are right, but it is not there.
BOOST_AUTO_TEST_CASE(a_message_that_is_torn_in_its_middle_is_not_taken_for_present) {
  const auto& s = scenario("mbox, a kept one larger than all gaps");
  const MaildropFixture drop;
  for (std::size_t at = 0; ::access(drop.state_path("journal").c_str(), F_OK) != 0; ++at) {
    BOOST_REQUIRE(run_update(drop, s, {.kind = Fault::Kind::die, .at = at}).died);
  }
  // All sectors are new but one, and the reader has marked the last message.
  auto torn = s.after + s.before.substr(s.after.size());
  const auto lines = [](std::string_view text) { return std::count(text.begin(), text.end(), '\n'); };
  // So many sectors that the number of lines is right, too.
  bool found = false;
  for (std::size_t from = 1536; from < 4096 && !found; from += 512) {
    for (std::size_t size = 512; from + size <= 4608 && !found; size += 512) {
      found = lines(torn.substr(from, size)) == lines(s.before.substr(from, size));
      if (found) torn.replace(from, size, s.before, from, size);
    }
  }
  BOOST_REQUIRE(found);
  auto units = split(torn, false);
  const auto marked = units.back().find("Subject:");
  units.back().insert(marked, "Status: RO\n");
  std::string rewritten;
  for (const auto& unit : units) rewritten += unit;
  MaildropFixture::write_file(drop.spool_path(), rewritten);
  Process later{drop};
  later.be_later();
  BOOST_REQUIRE(later.recover().has_value());
  const auto spool = drop.spool();
  for (std::size_t i = 0; i < s.units.size(); ++i) {
    if (s.is_deleted(i)) continue;
    BOOST_TEST((spool.find(core_of(s.units[i])) != std::string::npos), "message " << i + 1 << " is lost");
  }
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
  const auto disk = [&] { return process.fs.story().after_power_loss(process.fs.steps(), random).at("spool"); };
  bool lost = false;
  bool kept = false;
  for (int i = 0; i < 50; ++i) {
    const auto spool = disk();
    lost = lost || spool == "old content";
    kept = kept || spool == "new content";
  }
  BOOST_TEST(lost);
  BOOST_TEST(kept);
  BOOST_REQUIRE(process.fs.sync(fd->get()).has_value());
  for (int i = 0; i < 50; ++i) BOOST_TEST(disk() == "new content");
}

BOOST_AUTO_TEST_CASE(the_model_reorders_sectors_sizes_and_names) {
  DiskStory story;
  story.add_file("spool", std::string(1024, 'o'));
  story.add_file("old", "x");
  story.add({.kind = DiskStep::Kind::write, .bytes = std::string(1024, 'n')});
  story.add({.kind = DiskStep::Kind::truncate, .offset = 600});
  story.add({.kind = DiskStep::Kind::names, .names = {{"old", std::nullopt}}});
  story.add({.kind = DiskStep::Kind::names, .names = {{"new", 1}}});
  std::mt19937 random{1};
  std::map<std::string, int> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto disk = story.after_power_loss(story.size(), random);
    const auto& spool = disk.at("spool");
    ++seen[std::string{spool.front(), spool.size() == 600 ? spool[599] : spool.back()} + std::to_string(spool.size())];
    ++seen[std::string{disk.contains("old") ? "old" : ""} + (disk.contains("new") ? "new" : "")];
  }
  for (const auto* state :
       {"oo600", "on600", "no600", "nn600", "oo1024", "on1024", "no1024", "nn1024", "old", "new", "oldnew", ""})
    BOOST_TEST(seen[state] > 0, state);
}

/// The kernel forgets after a failed sync what it could not write; a later sync that works says nothing about it.
BOOST_AUTO_TEST_CASE(the_model_knows_that_a_failed_sync_is_final) {
  DiskStory story;
  story.add_file("spool", "old");
  story.add({.kind = DiskStep::Kind::write, .bytes = "new"});
  story.add({.kind = DiskStep::Kind::failed_sync});
  story.add({.kind = DiskStep::Kind::sync});
  std::mt19937 random{1};
  bool lost = false;
  for (int i = 0; i < 50; ++i) lost = lost || story.after_power_loss(story.size(), random).at("spool") == "old";
  BOOST_TEST(lost);
}

}  // namespace
