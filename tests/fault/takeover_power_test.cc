// SPDX-License-Identifier: MIT
// Power is lost at every point of a take-over, with writes lost and reordered at will: the next session finds every message once, whole. The
// temporary drop lies in the state folder here, because that is what the model of the disk knows.
#include <boost/test/unit_test.hpp>
#include <random>

#include "tests/fault/recording_file_system.h"
#include "tests/fault/takeover_cases.h"

namespace {

using namespace qpop;
using namespace qpop::test;

constexpr const char* kDrop = "drop";
constexpr int kDisksEach = QPOP_SANITIZED ? 2 : 8;  // different ones after the same step

using RecordingProcess = BasicProcess<RecordingFileSystem>;

spool::MaildropSettings settings_of(const MaildropFixture& drop) {
  spool::MaildropSettings settings;
  settings.temporary_drops = {{drop.state_folder(), kDrop}};
  return settings;
}

void lay_out(const MaildropFixture& drop, const TakeOver& t) {
  drop.clear();
  if (t.spool != "-") drop.write_spool(t.spool);
  MaildropFixture::write_file(drop.state_path(kDrop), t.drop);
}

std::string judge(const MaildropFixture& drop, const std::vector<std::string>& want) {
  Process later{drop};
  later.be_later();
  auto opened = later.open(settings_of(drop));
  if (!opened) return "cannot be opened: " + opened.error().message();
  auto got = contents_of(*opened);
  std::ranges::sort(got);
  if (got == want) return {};
  return std::to_string(got.size()) + " messages, want " + std::to_string(want.size()) + "\n" + drop.spool();
}

BOOST_AUTO_TEST_CASE(power_is_lost_at_every_point_of_a_take_over) {
  const MaildropFixture first;
  const MaildropFixture second;
  std::mt19937 random{20'261'125};
  std::size_t disks = 0;
  for (const auto& t : take_overs()) {
    if (t.want.size() > 100'000) continue;
    const auto want = messages_in(t.want);
    for (const auto kind : {Fault::Kind::none, Fault::Kind::die}) {
      for (std::size_t at = 0; at < (kind == Fault::Kind::none ? 1U : 150U); at += QPOP_SANITIZED ? 37 : 7) {
        lay_out(first, t);
        RecordingProcess process{first, {.kind = kind, .at = at}};
        process.fs.start(first);
        static_cast<void>(process.open(settings_of(first)));
        const auto& story = process.fs.story();
        for (std::size_t done = 0; done <= story.size(); ++done) {
          for (int i = 0; i < kDisksEach; ++i) {
            restore(second, story.after_power_loss(done, random));
            ++disks;
            const auto wrong = judge(second, want);
            BOOST_REQUIRE_MESSAGE(wrong.empty(), t.name << ", died at " << at << ", power lost behind step " << done << ": " << wrong << "\n" << story.text());
          }
        }
      }
    }
  }
  BOOST_TEST_MESSAGE(disks << " disks");
  BOOST_TEST(disks > 1000U);
}

}  // namespace
