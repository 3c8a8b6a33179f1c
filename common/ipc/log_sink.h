// SPDX-License-Identifier: MIT
// Hands the log lines of a role to the monitor.
#pragma once

#include "common/ipc/messages.h"
#include "common/log/log.h"

namespace qpop::ipc {

/// From now on lines of this process go over `monitor`, which must stay where it is as long as the process lives.
inline void log_to(const Channel& monitor) {
  log::redirect([&monitor](log::Severity severity, std::string_view text) {
    LogLine line;
    line.severity = static_cast<std::uint32_t>(severity);
    line.text.set(text);
    // A line that cannot be handed over is lost; the role itself must not fail for it.
    (void)monitor.send(line);
  });
}

}  // namespace qpop::ipc
