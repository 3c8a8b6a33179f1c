// SPDX-License-Identifier: MIT
// Log lines: one event, one line of at most 1 KiB, every byte outside printable ASCII escaped; to syslog, to standard error,
// or (in roles without rights) to the monitor.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace qpop::log {

/// debug: for who looks for a fault; only made when it is asked for. info: what happened. warning: works, needs attention. error: this request failed. fatal: the program cannot work.
/// panic: an invariant of ours broke.
enum class Severity : std::uint8_t { debug, info, warning, error, fatal, panic };

/// Octets of one line, the severity word included.
inline constexpr std::size_t kMaxLine = 1000;

struct Target {
  std::string ident = "popper";
  int facility = 0;  ///< LOG_MAIL and so on (syslog.h)
  bool to_syslog = false;
  bool to_stderr = true;
  int trace_fd = -1;  ///< a file that gets all lines as well; stays open as long as lines are written
};

/// Opens the sink of this process. Connects to syslog at once, so that it works after a chroot.
void open(const Target& target);

/// Sends all lines of this process to `sink` instead; roles use it to hand lines to the monitor.
void redirect(std::function<void(Severity, std::string_view)> sink);

void write(Severity severity, std::string_view text);

[[nodiscard]] std::string_view word(Severity severity);

template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Severity::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  write(Severity::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Severity::error, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void fatal(fmt::format_string<Args...> format, Args&&... args) {
  write(Severity::fatal, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace qpop::log
