// SPDX-License-Identifier: MIT
// The readings of popcheck on hostile bytes: a repair loses nothing, can be taken back, leaves a spool that is served, and a second
// one has nothing to do.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/check/judge.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string spool{reinterpret_cast<const char*>(data), size};
  for (const bool aggressive : {false, true}) {
    const auto repaired = qpop::test::repair_in_memory(spool, aggressive);
    if (repaired.wrong.empty()) continue;
    std::fprintf(stderr, "check_fuzz: %s\n", repaired.wrong.c_str());
    std::abort();
  }
  return 0;
}
