// SPDX-License-Identifier: MIT
// What the server counts, and the text in which it says so.
// Source: OpenMetrics 1.0 (names end in their unit, counters in _total, the text in # EOF).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "common/ipc/messages.h"
#include "popper/monitor/mechanisms.h"

namespace qpop::monitor {

/// How long something took, all of them together.
struct Durations {
  std::uint64_t count = 0;
  std::int64_t sum_ms = 0;
  void add(std::int64_t ms) {
    ++count;
    sum_ms += ms;
  }
};

inline constexpr std::array kRecoveryNames{"nothing", "redone", "finished", "salvaged", "set-aside", "failed"};  ///< of ipc::RecoveryOutcome
inline constexpr std::array kEndNames{"quit", "closed", "timeout", "refused", "shutdown", "kicked", "failure", "died"};  ///< of ipc::SessionEnd, and one more

struct Counters {
  std::uint64_t connections = 0;
  std::uint64_t refused_connections = 0;
  std::uint64_t handshakes = 0;
  std::uint64_t resumed_handshakes = 0;
  std::array<std::uint64_t, kMechanismNames.size()> logins{};
  std::array<std::uint64_t, kMechanismNames.size()> failed_logins{};
  std::array<std::uint64_t, kEndNames.size()> ends{};  ///< of sessions that had logged in
  std::uint64_t sent_octets = 0;
  std::uint64_t retrieved = 0;
  std::uint64_t deleted = 0;
  Durations opens, updates;
  std::array<std::uint64_t, kRecoveryNames.size()> recoveries{};
};

/// As they are now.
struct Gauges {
  std::size_t waiting = 0;        ///< connected, not logged in
  std::size_t transaction = 0;
  std::size_t updating = 0;
  std::size_t spares = 0;
  std::int64_t uptime_s = 0;
  bool has_certificate = false;
  std::int32_t certificate_days = 0;  ///< until the first one ends
};

/// application/openmetrics-text; version=1.0.0
[[nodiscard]] std::string open_metrics(const Counters& counters, const Gauges& gauges);

}  // namespace qpop::monitor
