// SPDX-License-Identifier: MIT
// Power losses without end: soak_power_loss [--minutes M] [--states N] [--seed S] [--one SEED]
// Ends with a line of counts, and with 1 when mail was lost, torn or doubled; says how to see the first faults again.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/fault/power_runs.h"

namespace {

using namespace qpop::test;
using Time = std::chrono::steady_clock;

struct Arguments {
  double minutes = 0;
  std::uint64_t states = 0;
  std::uint64_t seed = 1;
  bool one = false;
};

Arguments parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--minutes") {
      out.minutes = std::strtod(argv[i + 1], nullptr);
    } else if (name == "--states") {
      out.states = std::strtoull(argv[i + 1], nullptr, 10);
    } else if (name == "--seed" || name == "--one") {
      out.seed = std::strtoull(argv[i + 1], nullptr, 10);
      out.one = name == "--one";
    } else {
      std::fprintf(stderr, "%s: not an option\n", argv[i]);
      std::exit(2);
    }
  }
  if (out.minutes <= 0 && out.states == 0) out.states = 20'000;
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  PowerRuns runs;
  const auto start = Time::now();
  auto reported = start;
  int shown = 0;
  for (std::uint64_t seed = arguments.seed;; ++seed) {
    const auto fault = runs.run(seed, arguments.one);
    if (!fault.empty() && ++shown <= 10) {
      std::printf("%s\n  again: %s --one %llu\n", fault.c_str(), argv[0], static_cast<unsigned long long>(seed));
    }
    const auto now = Time::now();
    const auto enough_time =
        arguments.minutes > 0 && now - start >= std::chrono::duration<double, std::ratio<60>>(arguments.minutes);
    if (arguments.one || enough_time || (arguments.states > 0 && runs.counts().states >= arguments.states)) break;
    if (now - reported < std::chrono::seconds{30}) continue;
    reported = now;
    std::printf("%s\n", runs.counts().text().c_str());
    std::fflush(stdout);
  }
  const auto& counts = runs.counts();
  if (counts.wrong > 0) std::printf("wrong in another way: %llu\n", static_cast<unsigned long long>(counts.wrong));
  std::printf("with a foreign rewrite: %llu\n", static_cast<unsigned long long>(counts.rewritten));
  std::printf("%s\n", counts.text().c_str());
  return counts.clean() ? 0 : 1;
}
