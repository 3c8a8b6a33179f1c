// SPDX-License-Identifier: MIT
// Events of an mbox, each judged by what stands around it.
#include "common/check/mbox_reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "common/mbox/from_line.h"

namespace qpop::check {

using base::Status;

Status MboxReading::run() {
  s_.report.format = listing::SpoolFormat::mbox;
  end_ = s_.size();
  if (auto started = lead(); !started) return started;
  while (s_.pos < s_.size()) {
    const bool delimiters = !open_.boundary.empty() || !pending_boundary_.empty();
    if (auto found = s_.next_event(delimiters); !found) return found;
    if (s_.pos == s_.size()) break;
    if (auto judged = event(); !judged) return judged;
    if (s_.report.edits.size() > kMostEdits) return base::Error{base::ErrorKind::limit, "more damage than can be repaired"};
  }
  return finish();
}

Status MboxReading::event() {
  const std::uint64_t at = s_.pos;
  switch (s_.view(at, at + 1).front()) {
    case '\0':
      return nuls();
    case '\x01':
      separator_line();
      break;
    case 'F':
      from_word();
      break;
    case '-':
      delimiter();
      break;
    default:
      time_of_day();
      break;
  }
  // Whoever judged it may have moved on already.
  if (s_.pos == at) s_.skip_to(at + 1);
  return {};
}

void MboxReading::from_word() {
  const std::uint64_t at = s_.pos;
  const auto start = s_.line_start(at);
  const auto prefix = start ? s_.view(*start, at) : std::string_view{"?"};
  if (!prefix.empty() && prefix.find_first_not_of('>') == std::string_view::npos) {
    ++(prefix.size() == 1 ? s_.report.quoted : s_.report.quoted_twice);
    s_.paint(Region::body, *start);
    s_.paint(Region::quoted, s_.line_end(at));
    return;
  }
  if (const auto line = s_.line_at(at); mbox::is_from_line(line)) {
    // The sender is free text for the server; a From_ line behind other text is the last one.
    auto last = line.rfind("From ");
    while (last > 0 && !mbox::is_from_line(line.substr(last))) last = line.rfind("From ", last - 1);
    if (last > 0) s_.skip_to(at + last);
    return valid_from(at + last, start.value_or(0));
  }
  if (prefix.empty()) static_cast<void>(damaged_from(at, s_.empty_line_before(at)));
}

/// A From_ line with a date, though perhaps not at the start of a line.
void MboxReading::valid_from(std::uint64_t at, std::uint64_t line_start) {
  const bool at_start = at == line_start;
  const bool empty_before = at_start && s_.empty_line_before(at);
  const bool inside = covered(at);
  if (empty_before && !inside) return boundary(at);
  if (inside) {
    if (!covers_) s_.find(Id::length_covers, at, 0, s_.line_number());
    covers_ = true;
    return s_.skip_to(s_.line_end(at));
  }
  const auto next = s_.next_line(at);
  const auto header = s_.header_at(next);
  if (!header.strong()) return s_.skip_to(s_.line_end(at));
  separate(at, line_start, header);
  close_message(at, false);
  open_message(at, next, header);
}

/// A message that begins at `at` is glued to the one before.
void MboxReading::separate(std::uint64_t at, std::uint64_t line_start, const HeaderFacts& header) {
  const std::string eol{s_.eol()};
  const auto before = s_.view(line_start, at);
  Finding* finding = nullptr;
  if (before.empty()) {
    finding = &s_.repair(Id::glued_message, at, 0, eol, s_.line_number(), fmt::format("the date is valid, {} header fields follow", header.fields));
  } else {
    const auto detail = fmt::format("{} octets of another line stand before it, {} header fields follow", before.size(), header.fields);
    // The LF of the empty line with one bit changed?
    const bool was_lf = before.size() == 1 && std::popcount(static_cast<unsigned>(static_cast<unsigned char>(before.front())) ^ 0x0AU) == 1;
    const bool replace = was_lf && !s_.empty_line_before(line_start);
    finding = replace ? &s_.repair(Id::glued_postmark, line_start, 1, eol, s_.line_number(), detail)
                      : &s_.repair(Id::glued_postmark, at, 0, eol + eol, s_.line_number(), detail);
  }
  // It may be text that was sent along.
  if (!open_.mime_open) return;
  finding->doubtful = true;
  s_.report.edits.back().doubtful = true;
}

/// The server starts a message here. Is that right?
void MboxReading::boundary(std::uint64_t at) {
  const auto next = s_.next_line(at);
  const auto header = s_.header_at(next);
  const auto first = s_.line_at(next);
  const bool text = !header.begins && !first.empty() && next < s_.size() && !first.starts_with('\0');
  if (open_.any && open_.mime_open && pending_boundary_.empty()) pending_boundary_ = open_.boundary;
  const bool inside = !pending_boundary_.empty() && header.boundary != pending_boundary_;
  if (!inside) drop_pending();
  const std::uint64_t line = s_.line_number();
  close_message(at, header.begins);
  ++s_.message;
  if (inside) {
    add_pending(at, header);
    pending_.back().text = text;
  } else if (text) {
    auto& finding = s_.repair(Id::doubtful_boundary, at, 0, ">", line, "the date is valid and an empty line stands before it, but no header follows");
    finding.doubtful = true;
    s_.report.edits.back().doubtful = true;
  } else if (!header.begins) {
    s_.find(Id::no_header, at, 0, line);
  }
  --s_.message;
  open_message(at, next, header);
}

/// The first colon of "hh:mm:ss": the line may be a From_ line whose first word is damaged.
void MboxReading::time_of_day() {
  const auto start = s_.line_start(s_.pos);
  if (!start || s_.view(*start, *start + 5) == "From " || !(s_.empty_line_before(*start) || hole_end_ == *start)) return;
  const auto guess = guess_postmark(s_.line_at(*start));
  if (!guess.only_start) return;
  const auto header = s_.header_at(s_.next_line(*start));
  if (header.begins && header.known > 0) replace_line(*start, guess, header, true);
}

/// "--" at the start of a line while a MIME part may be open.
void MboxReading::delimiter() {
  const auto line = s_.line_at(s_.pos).substr(2);
  const auto is = [&](const std::string& boundary) { return !boundary.empty() && line.starts_with(boundary); };
  const auto ends = [&](const std::string& boundary) { return line.substr(boundary.size()).starts_with("--"); };
  if (is(open_.boundary)) {
    open_.mime_open = !ends(open_.boundary);
  } else if (is(pending_boundary_)) {
    const bool last = ends(pending_boundary_);
    confirm_pending();
    open_.mime_open = !last;
  }
}

/// 0x01: an MMDF separator has no place in an mbox.
void MboxReading::separator_line() {
  const std::uint64_t at = s_.pos;
  const auto start = s_.line_start(at);
  if (start != at || s_.line_at(at) != kMmdfSeparator) return;
  const auto next = s_.next_line(at);
  const std::uint64_t line = s_.line_number();
  const std::string gap{s_.empty_line_before(at) ? "" : "\n"};
  const bool from = mbox::is_from_line(s_.line_at(next));
  const auto header_at = from ? s_.next_line(next) : next;
  const auto header = s_.header_at(header_at);
  if (header.strong() && (header.complete || header.certain())) {
    s_.repair(Id::mmdf_in_mbox, at, next - at, gap + (from ? "" : made_line(nullptr, header)), line, "a header follows");
    close_message(at, false);
    mmdf_open_ = true;
    s_.skip_to(next);
    return open_message(from ? next : at, header_at, header);
  }
  if (!mmdf_open_) return;
  mmdf_open_ = false;
  s_.repair(Id::mmdf_in_mbox, at, next - at, gap, line, "the end of a message in MMDF form");
  open_.damaged = true;
  s_.paint(Region::body, at);
  s_.skip_to(next);
  s_.paint(Region::damage, next);
}

Status MboxReading::nuls() {
  const std::uint64_t at = s_.pos;
  const std::uint64_t line = s_.line_number();
  auto passed = s_.pass_nuls();
  if (!passed) return passed.error();
  const std::uint64_t behind = *passed;
  s_.report.nul_octets += behind - at;
  s_.paint(Region::body, at);
  open_.damaged = true;
  if (behind == s_.size()) {
    end_ = at;
    s_.paint(Region::filler, behind);
    s_.repair(Id::nul_tail, at, behind - at, "", line, fmt::format("{} octets", behind - at));
    return {};
  }
  if (behind - at < kHole) {
    if (nul_small_++ == 0) {
      nul_at_ = at;
      nul_line_ = line;
    }
    return {};
  }
  s_.paint(Region::filler, behind);
  hole_end_ = behind;
  auto& finding = s_.find(Id::nul_run, at, behind - at, line, fmt::format("{} octets{}", behind - at, (behind - at) % 512 == 0 ? ", whole blocks" : ""));
  finding.excerpt.clear();
  static_cast<void>(lost_postmark(at, behind));
  return {};
}

/// A header behind a hole that begins at `from`: the From_ line was in the hole.
bool MboxReading::lost_postmark(std::uint64_t from, std::uint64_t behind) {
  constexpr std::uint64_t kReach = 2000;
  const bool whole = is_field(s_.line_at(behind)) && s_.header_at(behind).certain();
  const std::uint64_t at = whole ? behind : s_.next_line(behind);
  if (at - behind > kReach || at >= s_.size() || open_.mime_open) return false;
  const auto rest = s_.line_at(behind);
  // The From_ line itself, or what is left of it, is judged as such.
  if (!whole && rest.find("From ") != std::string_view::npos && mbox::is_from_line(rest.substr(rest.find("From ")))) return false;
  const auto header = s_.header_at(at);
  if (!header.certain() || !header.complete) return false;
  const auto detail = fmt::format("{} header fields follow a run of NUL octets", header.fields);
  if (whole && s_.empty_line_before(from)) {
    // The run is the line itself.
    s_.repair(Id::lost_postmark, from, behind - from, made_line(nullptr, header), s_.line_number(at), detail).excerpt.clear();
  } else {
    s_.repair(Id::lost_postmark, at, 0, std::string{whole ? "\n\n" : "\n"} + made_line(nullptr, header), s_.line_number(at), detail);
  }
  close_message(at, false);
  s_.skip_to(at);
  open_message(at, at, header);
  return true;
}

}  // namespace qpop::check
