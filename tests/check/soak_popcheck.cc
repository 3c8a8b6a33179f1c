// SPDX-License-Identifier: MIT
// Random damage to generated spools, for long: each is repaired in a file by the code of popcheck, its ledger is verified, a second
// repair must find nothing to do, the spool must be served, and the undo must give back the damaged octets.
// Usage: soak_popcheck [--minutes N] [--seed S] [--trials N]; ends at whichever comes first, by default at 1,000,000 trials.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "common/files/dotlock.h"
#include "popcheck/ledger.h"
#include "popcheck/work.h"
#include "tests/check/corpus.h"
#include "tests/check/judge.h"
#include "tests/fault/maildrop_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::test;

struct Counts {
  std::uint64_t trials = 0, repaired = 0, lost = 0, wrong = 0;
  [[nodiscard]] std::string text() const { return fmt::format("trials={} repaired={} lost={} torn=0 duplicated=0 wrong={}", trials, repaired, lost, wrong); }
};

class Soak {
 public:
  Soak() {
    target_.folder = folder_.path() + "/spool";
    target_.state = folder_.path() + "/state";
    target_.name = "ada";
    target_.label = target_.path();
    target_.uid = ::getuid();
    target_.gid = ::getgid();
    ::mkdir(target_.folder.c_str(), 0700);
    ::mkdir(target_.state.c_str(), 0700);
    command_.verb = popcheck::Verb::repair;
  }

  /// Empty: all holds.
  std::string run(std::uint64_t seed) {
    std::mt19937 random{static_cast<std::mt19937::result_type>(seed)};
    const auto kind = kKinds[random() % std::size(kKinds)];
    const auto spool = make_spool(kind, random, 1 + random() % 8);
    const auto damaged = damage_at_random(spool.bytes(), random);
    command_.aggressive = random() % 4 == 0;
    MaildropFixture::write_file(target_.path(), damaged);
    popcheck::Place place{command_, settings_, target_, open(target_.folder), open(target_.state), nullptr, nullptr, {}, {}};
    place.dotlock = std::make_unique<files::DirectDotlock>(place.fs, place.clock, place.folder.get(), target_.name);
    const auto first = popcheck::repair_spool(place);
    ++counts.trials;
    if (first.code == popcheck::kFailed) return "repair: " + first.message;
    const auto after = MaildropFixture::read_file(target_.path());
    if (first.code != popcheck::kRepaired) return after == damaged ? "" : "changed without saying so";
    ++counts.repaired;
    const auto ledger = first.ledger.substr(first.ledger.rfind('/') + 1);
    const auto proof = popcheck::verify_ledger(place.state.get(), ledger, place.folder.get(), target_.name);
    if (proof.code != popcheck::kClean) return "verify: " + proof.message;
    if (const auto now = served(after); !now.empty() && now.front().starts_with("refused")) return now.front();
    const auto second = popcheck::repair_spool(place);
    if (second.code == popcheck::kRepaired || second.code == popcheck::kFailed) return "second repair: " + second.message;
    const auto undone = popcheck::undo_repair(place, nullptr);
    if (undone.code != popcheck::kRepaired) return "undo: " + undone.message;
    if (MaildropFixture::read_file(target_.path()) != damaged) {
      ++counts.lost;
      return "undo does not give back what was there";
    }
    for (const auto& entry : std::filesystem::directory_iterator{target_.state}) {
      if (entry.path().filename() != "session") std::filesystem::remove(entry.path());
    }
    return {};
  }

  Counts counts;

 private:
  static base::UniqueFd open(const std::string& path) { return base::UniqueFd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)}; }

  TemporaryFolder folder_;
  popcheck::Command command_;
  config::Settings settings_;
  popcheck::Target target_;
};

}  // namespace

int main(int argc, char** argv) {
  double minutes = 1e9;
  std::uint64_t seed = 1;
  std::uint64_t trials = 1'000'000;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--minutes") == 0) minutes = std::atof(argv[i + 1]);
    if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--trials") == 0) trials = std::strtoull(argv[i + 1], nullptr, 10);
  }
  Soak soak;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(minutes * 60);
  for (std::uint64_t i = 0; i < trials && std::chrono::steady_clock::now() < end; ++i) {
    const auto wrong = soak.run(seed * 1'000'003 + i);
    if (!wrong.empty()) {
      ++soak.counts.wrong;
      fmt::print("seed {}: {}\n", seed * 1'000'003 + i, wrong);
    }
    if (soak.counts.wrong > 20) break;
    if (soak.counts.trials % 10'000 == 0) {
      fmt::print("popcheck: {}\n", soak.counts.text());
      std::fflush(stdout);
    }
  }
  fmt::print("popcheck: {}\n", soak.counts.text());
  return soak.counts.wrong == 0 && soak.counts.lost == 0 ? 0 : 1;
}
