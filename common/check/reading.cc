// SPDX-License-Identifier: MIT
// Which reading a spool gets, by its first octets.
#include "common/check/reading.h"

#include <algorithm>

#include "common/check/mbox_reading.h"
#include "common/check/mmdf_reading.h"
#include "common/mbox/from_line.h"

namespace qpop::check {

namespace {

/// The first separator is lost: a header, and a pair of separators further on.
bool begins_like_mmdf(const ReadingState& state) {
  // Zeros and empty lines in front, as a crash leaves them, say nothing.
  const auto ahead = state.view(state.pos, state.pos + Window::kAhead);
  const auto at = state.pos + std::min(ahead.find_first_not_of(std::string_view{"\0\r\n", 3}), ahead.size());
  const auto line = state.line_at(at);
  if (line == kMmdfSeparator || (line.size() >= 3 && line.size() <= 5 && line.find_first_not_of('\x01') == std::string_view::npos)) return true;
  if (mbox::is_from_line(line) || line.starts_with("From ")) return false;
  if (!state.header_at(at).strong()) return false;
  return ahead.find("\n\x01\x01\x01\x01\n\x01\x01\x01\x01\n") != std::string_view::npos;
}

/// In mbox reading a single 0x01 at the start is foreign; in MMDF it makes the format.
base::Status read_with(ReadingState& state, bool mmdf) {
  if (mmdf) return MmdfReading{state}.run();
  return MboxReading{state}.run();
}

}  // namespace

base::Result<Report> read_spool(Bytes& bytes, const ReadOptions& options) {
  ReadingState state{bytes, options};
  // Empty lines in front belong to no message.
  for (;;) {
    if (auto moved = state.move_to(state.pos); !moved) return moved.error();
    if (state.pos == state.size()) break;
    // The scan lets no CR alone pass.
    const auto next = state.view(state.pos, state.pos + 2);
    if (!next.starts_with('\n') && next != "\r\n") break;
    state.skip_to(state.pos + (next.starts_with('\n') ? 1 : 2));
  }
  state.paint(Region::separator, state.pos);
  if (state.pos < state.size()) {
    if (auto done = read_with(state, begins_like_mmdf(state)); !done) return done.error();
  }
  if (state.report.refused && state.report.findings.empty()) {
    auto& finding = state.find(Id::unreadable, state.pos, 0, 0, *state.report.refused);
    finding.excerpt.clear();
  }
  finish_report(state.report);
  return std::move(state.report);
}

}  // namespace qpop::check
