// SPDX-License-Identifier: MIT
// What a repair brings back, that it loses nothing, that it can be taken back, and that a second one has nothing to do.
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <iostream>

#include "tests/check/corpus.h"
#include "tests/check/judge.h"

namespace {

using namespace qpop;
using namespace qpop::test;

bool holds_in_order(const std::vector<std::string>& all, const std::vector<std::string>& wanted) {
  std::size_t at = 0;
  for (const auto& one : all) {
    if (at < wanted.size() && one == wanted[at]) ++at;
  }
  return at == wanted.size();
}

/// Of all single faults in all dialects, how many come back whole; the others are named.
BOOST_AUTO_TEST_CASE(single_faults_are_repaired) {
  const int rounds = QPOP_SANITIZED ? 3 : 20;
  std::size_t cases = 0;
  std::size_t failed = 0;
  std::string text;
  for (const auto kind : kKinds) {
    for (const auto& fault : single_faults(kind)) {
      for (int round = 0; round < rounds; ++round) {
        std::mt19937 random{static_cast<std::mt19937::result_type>(round * 1000 + static_cast<int>(kind))};
        const auto spool = make_spool(kind, random, 3 + random() % 6);
        const auto damaged = damage(spool, fault, random);
        const auto repaired = repair_in_memory(damaged.bytes);
        BOOST_REQUIRE_MESSAGE(repaired.wrong.empty(), damaged.what << ": " << repaired.wrong);
        const auto now = served(repaired.bytes);
        const bool good = damaged.exact ? now == damaged.wanted : holds_in_order(now, damaged.wanted);
        ++cases;
        if (good) continue;
        ++failed;
        if (text.size() < 3000) text += "\n  dialect " + std::to_string(static_cast<int>(kind)) + " round " + std::to_string(round) + ": " + damaged.what + ", " + repaired.changes;
      }
    }
  }
  BOOST_TEST_MESSAGE(cases << " damaged spools, " << failed << " not brought back" << text);
  BOOST_TEST(cases >= 120U);
  BOOST_TEST(failed * 50 <= cases);
  BOOST_TEST((failed == 0 || !text.empty()));
}

BOOST_AUTO_TEST_CASE(clean_spools_give_no_finding_above_note) {
  for (const auto kind : kKinds) {
    for (unsigned seed = 0; seed < 60; ++seed) {
      std::mt19937 random{seed};
      const auto spool = make_spool(kind, random, 1 + random() % 20);
      const auto bytes = spool.bytes();
      check::MemoryBytes source{bytes};
      const auto report = check::read_spool(source, {});
      BOOST_REQUIRE(report);
      BOOST_TEST(report->messages == spool.messages.size());
      BOOST_TEST(report->served == spool.messages.size());
      std::uint64_t sum = 0;
      for (const auto octets : report->octets) sum += octets;
      BOOST_TEST(sum == bytes.size());
      BOOST_REQUIRE_MESSAGE(report->clean(), "dialect " << static_cast<int>(kind) << " seed " << seed << ": " << text_of(*report));
      BOOST_TEST(report->edits.empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(pairs_of_faults_lose_nothing) {
  std::size_t cases = 0;
  for (const auto kind : {Kind::mboxo, Kind::mboxcl2, Kind::mmdf}) {
    const auto faults = single_faults(kind);
    for (std::size_t i = 0; i < faults.size(); ++i) {
      for (std::size_t j = 0; j < faults.size(); j += QPOP_SANITIZED ? 7 : 1) {
        std::mt19937 random{static_cast<std::mt19937::result_type>(i * 100 + j)};
        auto spool = make_spool(kind, random, 4);
        auto first = damage(spool, faults[i], random);
        auto second = damage(spool, faults[j], random);
        const auto cut = first.bytes.size() / 2;
        const auto both = first.bytes.substr(0, cut) + second.bytes.substr(std::min(cut, second.bytes.size()));
        const auto repaired = repair_in_memory(both);
        BOOST_REQUIRE_MESSAGE(repaired.wrong.empty(), first.what << " and " << second.what << ": " << repaired.wrong);
        ++cases;
      }
    }
  }
  BOOST_TEST(cases > 100U);
}

BOOST_AUTO_TEST_CASE(random_damage_loses_nothing) {
  const unsigned rounds = QPOP_SANITIZED ? 400 : 6000;
  for (unsigned seed = 0; seed < rounds; ++seed) {
    const auto wrong = judge_random(seed);
    BOOST_REQUIRE_MESSAGE(wrong.empty(), "seed " << seed << ": " << wrong);
  }
}

}  // namespace
