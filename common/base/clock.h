// SPDX-License-Identifier: MIT
// Time as an argument: timers compare monotonic milliseconds, time stamps are nanoseconds since the epoch.
#pragma once

#include <cstdint>
#include <ctime>

namespace qpop::base {

class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;
  [[nodiscard]] virtual std::int64_t monotonic_ms() = 0;
  [[nodiscard]] virtual std::int64_t realtime_ns() = 0;
};

/// The clocks of the kernel.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ms() override { return now(CLOCK_MONOTONIC) / 1'000'000; }
  [[nodiscard]] std::int64_t realtime_ns() override { return now(CLOCK_REALTIME); }

 private:
  static std::int64_t now(clockid_t id) {
    timespec time{};
    ::clock_gettime(id, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
  }
};

}  // namespace qpop::base
