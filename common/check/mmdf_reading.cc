// SPDX-License-Identifier: MIT
// A state machine over separator lines. A lost separator shows as text between two messages: whichever of the two is
// lost, the pair is whole again when one is inserted in front of that text.
#include "common/check/mmdf_reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "common/mbox/from_line.h"

namespace qpop::check {

using base::Status;

namespace {

const std::string kLine = std::string{kMmdfSeparator} + "\n";

/// One octet is missing, added, or changed.
bool is_nearly_separator(std::string_view line) {
  if (line == kMmdfSeparator || line.size() < 3 || line.size() > 5) return false;
  const auto ones = std::ranges::count(line, '\x01');
  return ones >= 3 && static_cast<std::size_t>(ones) + 1 >= line.size();
}

}  // namespace

MmdfReading::Line MmdfReading::kind_at(std::uint64_t at) const {
  const auto line = s_.line_at(at);
  if (line == kMmdfSeparator) return Line::separator;
  return is_nearly_separator(line) ? Line::damaged : Line::text;
}

Status MmdfReading::run() {
  s_.report.format = listing::SpoolFormat::mmdf;
  s_.report.dialect = Dialect::mmdf;
  end_ = s_.size();
  while (s_.pos < s_.size()) {
    if (auto done = inside_ ? inside() : between(); !done) return done;
    if (s_.report.edits.size() > kMostEdits) return base::Error{base::ErrorKind::limit, "more damage than can be repaired"};
  }
  end_of_spool();
  s_.report.messages = s_.message;
  const auto lf_only = s_.report.lines.lf - s_.report.lines.crlf;
  s_.message = 0;
  if (s_.report.lines.crlf > 0) s_.find(lf_only > 0 ? Id::mixed_line_ends : Id::crlf, 0, 0, 0).excerpt.clear();
  return {};
}

/// Here a separator must stand.
Status MmdfReading::between() {
  if (auto moved = s_.move_to(s_.pos); !moved) return moved;
  const std::uint64_t at = s_.pos;
  const auto kind = kind_at(at);
  const auto next = s_.next_line(at);
  if (kind != Line::text) {
    if (kind == Line::damaged) replace(at, next);
    s_.skip_to(next);
    s_.paint(Region::separator, next);
    open(next);
    return {};
  }
  // Empty lines and NUL octets hold nothing.
  std::uint64_t nuls = 0;
  while (s_.pos < s_.size()) {
    if (auto moved = s_.move_to(s_.pos); !moved) return moved;
    const char c = s_.view(s_.pos, s_.pos + 1).front();
    if (c == '\n' || c == '\r') {
      s_.skip_to(s_.pos + 1);
    } else if (c == '\0') {
      const auto from = s_.pos;
      if (auto passed = s_.pass_nuls(); !passed) return passed.error();
      nuls += s_.pos - from;
    } else {
      break;
    }
  }
  if (s_.pos > at) {
    const bool tail = s_.pos == s_.size();
    // The scan lets empty lines in front of the first separator pass.
    if (at > 0 || nuls > 0) {
      const Id id = nuls == 0 ? Id::mmdf_between : tail ? Id::nul_tail : at == 0 ? Id::nul_start : Id::nul_run;
      s_.report.nul_octets += nuls;
      s_.repair(id, at, s_.pos - at, "", s_.line_number(at), nuls == 0 ? "empty lines" : fmt::format("{} NUL octets", nuls)).excerpt.clear();
    }
    s_.paint(Region::filler, s_.pos);
    return {};
  }
  const bool from = mbox::is_from_line(s_.line_at(at));
  const auto header = s_.header_at(from ? next : at);
  const bool message = header.begins && header.known > 0;
  s_.repair(Id::mmdf_between, at, 0, message ? kLine : kLine + s_.quarantine_header(Id::mmdf_between), s_.line_number(at),
            message ? (from ? "a message in mbox form" : "a header: the separator in front of it is lost") : "bytes of no message");
  rescued_ = from;
  open(at);
  return {};
}

/// Behind an opening separator.
void MmdfReading::open(std::uint64_t at) {
  inside_ = true;
  ++s_.message;
  header_end_ = at;
  if (at >= s_.size()) return;
  take_header();
}

void MmdfReading::take_header() {
  if (kind_at(s_.pos) != Line::text) return;
  if (mbox::is_from_line(s_.line_at(s_.pos))) {
    s_.skip_to(s_.next_line(s_.pos));
    s_.paint(Region::postmark, s_.pos);
  }
  const auto header = s_.header_at(s_.pos);
  if (header.begins && (header.nul || header.odd)) s_.find(Id::damaged_header, s_.pos, header.length, s_.line_number());
  if (header.internal_data) s_.find(Id::internal_data, s_.pos, 0, s_.line_number());
  header_end_ = s_.pos + header.length;
  s_.skip_to(header_end_);
  s_.paint(Region::header, header_end_);
}

void MmdfReading::replace(std::uint64_t at, std::uint64_t next) {
  const bool crlf = s_.view(at, next).ends_with("\r\n");
  s_.repair(Id::mmdf_damaged, at, next - at, std::string{kMmdfSeparator} + (crlf ? "\r\n" : "\n"), s_.line_number(at));
}

Status MmdfReading::inside() {
  if (auto found = s_.next_event(false); !found) return found;
  if (s_.pos == s_.size()) return {};
  const std::uint64_t at = s_.pos;
  const char c = s_.view(at, at + 1).front();
  const bool at_start = s_.before(at, 1) == "\n" || at == header_end_ || at == 0;
  if (c == '\0') {
    const std::uint64_t line = s_.line_number();
    if (auto passed = s_.pass_nuls(); !passed) return passed.error();
    const auto length = s_.pos - at;
    s_.report.nul_octets += length;
    s_.paint(Region::body, at);
    if (s_.pos == s_.size()) {
      end_ = at;
      s_.repair(Id::nul_tail, at, length, "", line, fmt::format("{} octets", length)).excerpt.clear();
    } else if (length >= kHole) {
      s_.find(Id::nul_run, at, length, line, fmt::format("{} octets", length)).excerpt.clear();
    }
    if (length >= kHole) s_.paint(Region::filler, s_.pos);
    return {};
  }
  if (c == 'F' && at_start) postmark_inside();
  if (c == '\x01' && at_start) {
    const auto kind = kind_at(at);
    const auto next = s_.next_line(at);
    // A damaged one counts only where messages meet: another separator follows, or the end.
    const bool meets = kind == Line::damaged && (next == s_.size() || kind_at(next) != Line::text);
    if (kind == Line::separator || meets) {
      if (meets) replace(at, next);
      s_.paint(Region::body, at);
      s_.skip_to(next);
      s_.paint(Region::separator, next);
      // Without its LF at the end of the spool it is no whole line, but the scan takes it.
      inside_ = false;
      rescued_ = false;
    }
  }
  if (s_.pos == at) s_.skip_to(at + 1);
  return {};
}

/// Messages in mbox form that were appended: the first brought us here, the others need separators too.
void MmdfReading::postmark_inside() {
  const std::uint64_t at = s_.pos;
  if (!rescued_ || !s_.empty_line_before(at) || !mbox::is_from_line(s_.line_at(at))) return;
  const auto header = s_.header_at(s_.next_line(at));
  if (!header.strong()) return;
  s_.repair(Id::mmdf_between, at, 0, kLine + kLine, s_.line_number(), "another message in mbox form");
  s_.paint(Region::body, at);
  open(at);
}

void MmdfReading::end_of_spool() {
  s_.paint(Region::body, end_);
  s_.paint(Region::filler, s_.size());
  if (!inside_) return;
  const bool line_ends = s_.before(end_, 1) == "\n";
  s_.repair(Id::mmdf_unclosed, end_, 0, (line_ends ? "" : "\n") + kLine, s_.line_number(end_)).excerpt.clear();
}

}  // namespace qpop::check
