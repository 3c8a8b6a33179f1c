// SPDX-License-Identifier: MIT
// A clock that tests move by hand.
#pragma once

#include <cstdint>

#include "common/base/clock.h"

namespace qpop::test {

class FakeClock final : public base::Clock {
 public:
  std::int64_t monotonic_ms() override { return monotonic_ms_; }
  /// The real time plus what was added, because the kernel stamps files with the real one.
  std::int64_t realtime_ns() override { return real_.realtime_ns() + monotonic_ms_ * 1'000'000; }
  void advance_ms(std::int64_t duration) { monotonic_ms_ += duration; }

 private:
  base::SystemClock real_;
  std::int64_t monotonic_ms_ = 0;
};

}  // namespace qpop::test
