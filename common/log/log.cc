// SPDX-License-Identifier: MIT
// Sinks of log lines.
#include "common/log/log.h"

#include <sys/time.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "common/base/text.h"

namespace qpop::log {

namespace {

struct State {
  Target target;
  std::function<void(Severity, std::string_view)> sink;
};

State& state() {
  static State instance;
  return instance;
}

int priority(Severity severity) {
  switch (severity) {
    case Severity::debug:
      return LOG_DEBUG;
    case Severity::info:
      return LOG_NOTICE;  // the level of the original's login and failure lines; syslog set-ups filter on it
    case Severity::warning:
      return LOG_WARNING;
    case Severity::error:
      return LOG_ERR;
    case Severity::fatal:
      return LOG_CRIT;
    case Severity::panic:
      return LOG_ALERT;
  }
  return LOG_ERR;
}

std::string time_stamp() {
  timeval now{};
  ::gettimeofday(&now, nullptr);
  tm local{};
  ::localtime_r(&now.tv_sec, &local);
  std::array<char, 40> text{};
  const auto size = std::strftime(text.data(), text.size(), "%b %d %H:%M:%S", &local);
  return fmt::format("{}.{:03}", std::string_view{text.data(), size}, now.tv_usec / 1000);
}

void write_stderr(std::string_view line) {
  const auto text = fmt::format("{} {}[{}]: {}\n", time_stamp(), state().target.ident, ::getpid(), line);
  // One write, so that lines of several processes do not mix; nothing can be done when it fails.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

/// The record of the original's trace files.
void write_trace(std::string_view line) {
  timeval now{};
  ::gettimeofday(&now, nullptr);
  tm local{};
  ::localtime_r(&now.tv_sec, &local);
  const auto text = fmt::format("{} {} [{}] {}\n", time_stamp(), local.tm_year + 1900, ::getpid(), line);
  [[maybe_unused]] const auto written = ::write(state().target.trace_fd, text.data(), text.size());
}

}  // namespace

std::string_view word(Severity severity) {
  switch (severity) {
    case Severity::debug:
      return "debug";
    case Severity::info:
      return "info";
    case Severity::warning:
      return "warning";
    case Severity::error:
      return "error";
    case Severity::fatal:
      return "fatal";
    case Severity::panic:
      return "panic";
  }
  return "error";
}

void open(const Target& target) {
  state().target = target;
  if (target.to_syslog) ::openlog(state().target.ident.c_str(), LOG_PID | LOG_NDELAY, target.facility);
}

void redirect(std::function<void(Severity, std::string_view)> sink) { state().sink = std::move(sink); }

void write(Severity severity, std::string_view text) {
  if (state().sink) return state().sink(severity, text.substr(0, kMaxLine));
  // Names may be UTF-8, with marks that turn a line around on a terminal: only ASCII goes out as it is. A line that holds
  // nothing else keeps its backslashes, so that what was escaped once is not escaped again.
  const bool clean = text.size() <= kMaxLine && std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7F; });
  const std::string safe = clean ? std::string{text} : base::escape_untrusted(text, kMaxLine);
  // Info lines carry no word: log watchers know the original's lines by their beginning.
  const std::string line = severity == Severity::info ? safe : fmt::format("{}: {}", word(severity), safe);
  if (state().target.to_syslog) ::syslog(priority(severity), "%s", line.c_str());
  if (state().target.to_stderr) write_stderr(line);
  if (state().target.trace_fd >= 0) write_trace(line);
}

}  // namespace qpop::log
