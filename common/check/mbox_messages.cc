// SPDX-License-Identifier: MIT
// Messages of an mbox from their first line to their last, and what can be said only at the end.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/text.h"
#include "common/check/mbox_reading.h"
#include "common/digest/digest.h"
#include "common/mbox/from_line.h"

namespace qpop::check {

using base::Status;

namespace {

constexpr std::size_t kMostPending = 64;
constexpr std::size_t kMostLengths = 10'000;

/// Octets of the empty line at the end of `text`.
std::uint64_t empty_line_at_end(std::string_view text) {
  if (text.ends_with("\n\n")) return 1;
  return text.ends_with("\n\r\n") ? 2 : 0;
}

}  // namespace

void MboxReading::open_message(std::uint64_t at, std::uint64_t header_at, const HeaderFacts& header) {
  ++s_.message;
  s_.paint(Region::body, at - std::min(at, empty_line_at_end(s_.before(at, 3))));
  s_.paint(Region::separator, at);
  s_.paint(Region::postmark, header_at);
  open_ = {.any = true, .offset = at, .line = s_.line_number(at), .body = header_at + header.length, .complete = header.complete};
  if (header.boundary.size() >= 4 && header.boundary.size() <= 120) open_.boundary = header.boundary;
  open_.mime_open = !open_.boundary.empty();
  open_.length = header.content_length;
  open_.value_at = header_at + header.value_at;
  open_.value_size = header.value_size;
  open_.head_hash = digest::xxh3_64(s_.view(at, std::min(open_.body, at + 2048)));
  const std::uint64_t line = open_.line;
  if (header.begins && (header.nul || header.odd) && header.fields > 0) {
    open_.damaged = true;
    s_.find(Id::damaged_header, header_at, header.length, s_.line_number(header_at), header.nul ? "NUL octets in it" : "a line that is no field");
  }
  if (header.nul) {
    const auto text = s_.view(header_at, open_.body);
    s_.report.nul_octets += static_cast<std::uint64_t>(std::ranges::count(text, '\0'));
  }
  if (header.internal_data) s_.find(Id::internal_data, at, 0, line);
  s_.skip_to(header_at);
  // Lines of a header that ends within a line are not all whole.
  if (s_.pos == header_at && header.complete) {
    s_.skip_lines(open_.body, header.lines);
  } else {
    s_.skip_to(open_.body);
  }
  open_.crlf_before = s_.report.lines.crlf;
  s_.paint(Region::header, open_.body);
}

/// `certain`: the next message begins at `end` beyond doubt, or the spool ends.
void MboxReading::close_message(std::uint64_t end, bool certain) {
  if (!open_.any) return;
  const auto blank = empty_line_at_end(s_.before(end, 3));
  const std::uint64_t content_end = std::max(open_.body, end - std::min(end, blank));
  units_.push_back({.hash = open_.head_hash, .offset = open_.offset, .length = end - open_.offset});
  if (open_.length) {
    const std::uint64_t actual = content_end - std::min(content_end, open_.body);
    // A spool that was converted counts its lines as they were.
    const std::uint64_t with_lf = actual - std::min(actual, s_.report.lines.crlf - open_.crlf_before);
    const bool right = *open_.length == actual || *open_.length == actual + blank || *open_.length == with_lf;
    ++(right ? s_.report.right_lengths : s_.report.wrong_lengths);
    if (!right && wrong_.size() < kMostLengths) {
      wrong_.push_back({.value_at = open_.value_at,
                        .value_size = open_.value_size,
                        .announced = *open_.length,
                        .actual = actual,
                        .message = s_.message,
                        .line = open_.line,
                        .certain = certain && !open_.damaged && open_.complete});
    }
  }
  open_.any = false;
}

/// A boundary while the parts of an earlier message are open: only their end tells whether it is one.
void MboxReading::add_pending(std::uint64_t at, const HeaderFacts& header) {
  if (pending_.size() >= kMostPending) drop_pending();
  pending_.push_back({.offset = at,
                      .line = s_.line_number(),
                      .message = s_.message,
                      .excerpt = base::escape_untrusted(s_.line_at(at), 72),
                      .header = header.begins});
}

/// The delimiter of the earlier message stands in a later one: the boundaries between are lines of its text. Where a header
/// follows, that is doubtful: a sender who leaves a part open and writes its delimiter into a second mail must not be able
/// to have the mail between them glued.
void MboxReading::confirm_pending() {
  bool doubtful = false;
  for (const auto& one : pending_) {
    doubtful = doubtful || one.header;
    auto& finding = s_.repair(Id::split_message, one.offset, 0, ">", one.line,
                              fmt::format("the delimiter of message {} follows in line {}", pending_.front().message - 1, s_.line_number()));
    finding.message = one.message;
    finding.excerpt = one.excerpt;
    finding.doubtful = doubtful;
    s_.report.edits.back().doubtful = doubtful;
  }
  pending_.clear();
  open_.boundary = std::exchange(pending_boundary_, {});
  open_.damaged = true;
}

/// The parts of the earlier message were never closed.
void MboxReading::drop_pending() {
  if (!pending_boundary_.empty() && !pending_.empty()) {
    const auto first = pending_.front().message - 1;
    auto& finding = s_.find(Id::mime_open, pending_.front().offset, 0, pending_.front().line, fmt::format("of message {}", first));
    finding.message = first;
    finding.excerpt.clear();
  }
  for (const auto& one : pending_) {
    if (one.header) continue;
    auto& finding = one.text ? s_.repair(Id::doubtful_boundary, one.offset, 0, ">", one.line,
                                         "no header follows, and the message before has open MIME parts; but none of them ends behind it")
                             : s_.find(Id::no_header, one.offset, 0, one.line);
    finding.message = one.message;
    finding.excerpt = one.excerpt;
    if (!one.text) continue;
    finding.doubtful = true;
    s_.report.edits.back().doubtful = true;
  }
  pending_.clear();
  pending_boundary_.clear();
}

/// Does the Content-Length of the open message lead behind `at`, and exactly to a boundary? As the server's scan decides;
/// but a From_ line that is damaged, and will be repaired, counts too.
bool MboxReading::covered(std::uint64_t at) {
  if (!open_.any || !open_.length || *open_.length > s_.size() - std::min(s_.size(), open_.body)) return false;
  const std::uint64_t target = open_.body + *open_.length;
  if (at >= target) return false;
  if (!open_.lands) open_.lands = lands_at(target);
  return *open_.lands;
}

bool MboxReading::lands_at(std::uint64_t target) {
  std::array<char, 4096> buffer{};
  auto got = s_.bytes.read(target - 3, buffer);
  const std::string_view seen{buffer.data(), got ? *got : 0};
  const bool complete = seen.size() < buffer.size();
  if (!got || seen.size() < 3) return false;
  const auto before = seen.substr(0, 3);
  auto behind = seen.substr(3);
  const auto is_boundary = [&](std::string_view text) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return complete && mbox::is_from_line(text);
    if (mbox::is_from_line(text.substr(0, end))) return true;
    const auto guess = guess_postmark(text.substr(0, end));
    if (!guess.from && !guess.only_start) return false;
    const auto header = read_header(text.substr(end + 1), complete);
    return header.certain() || (guess.score >= 2 && header.strong());
  };
  if (complete && behind.empty()) return true;
  if ((before.ends_with("\n\n") || before == "\n\r\n") && is_boundary(behind)) return true;
  const std::size_t blank = behind.starts_with("\n") ? 1 : behind.starts_with("\r\n") ? 2 : 0;
  if (blank == 0 || !before.ends_with('\n')) return false;
  behind.remove_prefix(blank);
  return (complete && behind.empty()) || is_boundary(behind);
}

Status MboxReading::finish() {
  drop_pending();
  end_of_spool();
  close_message(end_, true);
  if (nul_small_ > 0) s_.find(Id::nul_octets, nul_at_, 1, nul_line_, fmt::format("in {} places", nul_small_)).message = 0;
  judge_lengths();
  if (auto found = find_duplicates(); !found) return found;
  auto& report = s_.report;
  report.messages = s_.message;
  const auto lf_only = report.lines.lf - report.lines.crlf;
  s_.message = 0;
  if (report.lines.crlf > 0) {
    const bool mixed = lf_only > 0;
    s_.find(mixed ? Id::mixed_line_ends : Id::crlf, 0, 0, 0, mixed ? fmt::format("{} lines end with CR LF, {} with LF", report.lines.crlf, lf_only) : "").excerpt.clear();
  }
  return {};
}

void MboxReading::end_of_spool() {
  s_.paint(Region::body, end_);
  s_.paint(Region::filler, s_.size());
  if (s_.message == 0 || end_ == 0) return;
  const auto before = s_.before(end_, 3);
  const std::string eol{s_.eol()};
  const bool line_ends = before.ends_with('\n');
  const bool blank_ends = empty_line_at_end(before) > 0;
  // A whole line behind the header that is none of it makes a damaged header, or a message without one: nothing need be missing.
  const bool cut = !open_.complete && (open_.body == end_ || (!line_ends && s_.line_start(end_) == open_.body));
  const auto line = s_.line_number(end_ - 1);
  if (cut) {
    open_.damaged = true;
    s_.find(Id::truncated, open_.offset, 0, open_.line, "the spool ends inside a header").repairable = true;
  } else if (open_.mime_open && !line_ends) {
    open_.damaged = true;
    s_.find(Id::truncated, open_.offset, 0, open_.line, "the spool ends inside a MIME part").repairable = true;
  } else if (open_.mime_open) {
    s_.find(Id::mime_open, open_.offset, 0, open_.line).excerpt.clear();
  }
  if (!line_ends) {
    s_.repair(Id::no_final_newline, end_, 0, eol + eol, line).excerpt.clear();
  } else if (!blank_ends && (end_ != s_.size() || cut)) {
    s_.edit({.offset = end_, .removed = 0, .inserted = eol, .id = cut ? Id::truncated : Id::nul_tail});
  } else if (!blank_ends) {
    s_.find(Id::no_final_blank, end_, 0, line).excerpt.clear();
  }
}

/// Which dialect is it, and which numbers are wrong in it?
void MboxReading::judge_lengths() {
  auto& report = s_.report;
  const bool counts = report.right_lengths > 0 && report.right_lengths > report.wrong_lengths;
  if (counts) {
    report.dialect = covers_ || (report.quoted + report.quoted_twice) == 0 ? Dialect::mboxcl2 : Dialect::mboxcl;
  } else if (report.quoted + report.quoted_twice > 0) {
    report.dialect = report.quoted_twice > 0 ? Dialect::mboxrd : Dialect::mboxo;
  }
  if (wrong_.empty()) return;
  if (!counts) {
    s_.message = 0;
    s_.find(Id::useless_length, wrong_.front().value_at, 0, 0, fmt::format("{} of {}", report.wrong_lengths, report.wrong_lengths + report.right_lengths)).excerpt.clear();
    s_.message = report.messages;
    return;
  }
  const auto messages = s_.message;
  for (const auto& one : wrong_) {
    s_.message = one.message;
    // A number that is larger than the body may be all that tells how much of it is lost.
    const bool sure = one.certain && one.value_size > 0;
    const auto detail = fmt::format("announced {}, found {}{}", one.announced, one.actual, sure ? "" : "; not certain, so no repair changes it");
    auto& finding = sure ? s_.repair(Id::wrong_length, one.value_at, one.value_size, fmt::format("{}", one.actual), one.line, detail)
                         : s_.find(Id::wrong_length, one.value_at, one.value_size, one.line, detail);
    finding.excerpt.clear();
  }
  s_.message = messages;
}

/// Messages that begin alike and are of equal length are compared whole.
Status MboxReading::find_duplicates() {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> order;
  order.reserve(units_.size());
  for (const auto& unit : units_) order.emplace_back(unit.hash ^ unit.length * 0x9E3779B97F4A7C15U, static_cast<std::uint32_t>(order.size()));
  std::ranges::sort(order);
  const auto messages = s_.message;
  for (std::size_t i = 1; i < order.size(); ++i) {
    const Unit& first = units_[order[i - 1].second];
    const Unit& second = units_[order[i].second];
    if (first.hash != second.hash || first.length != second.length || second.length == 0) continue;
    auto same = same_octets(first, second);
    if (!same) return same.error();
    if (!*same) continue;
    s_.message = order[i].second + 1;
    auto& finding = s_.repair(Id::duplicate, second.offset, second.length, "", 0, fmt::format("equal to message {}", order[i - 1].second + 1));
    finding.doubtful = true;
    finding.excerpt.clear();
    s_.report.edits.back().doubtful = true;
  }
  s_.message = messages;
  return {};
}

base::Result<bool> MboxReading::same_octets(const Unit& a, const Unit& b) {
  std::array<char, 16384> x{};
  std::array<char, 16384> y{};
  for (std::uint64_t done = 0; done < a.length;) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(x.size(), a.length - done));
    auto one = s_.bytes.read(a.offset + done, {x.data(), want});
    auto other = s_.bytes.read(b.offset + done, {y.data(), want});
    if (!one) return one.error();
    if (!other) return other.error();
    if (*one != want || *other != want || !std::equal(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(want), y.begin())) return false;
    done += want;
  }
  return true;
}

}  // namespace qpop::check
