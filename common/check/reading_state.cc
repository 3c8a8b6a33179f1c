// SPDX-License-Identifier: MIT
// Window, server's scan, findings and regions.
#include "common/check/reading_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <limits>

#include "common/base/text.h"

namespace qpop::check {

namespace {

constexpr std::size_t kExcerpt = 72;
constexpr std::uint64_t kLineReach = 1100;
constexpr std::uint64_t kBeforeNuls = 3;  // an empty line and the end of the one in front of it

Date date_of(std::int64_t now_s) {
  const auto now = static_cast<std::time_t>(now_s);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  return {.year = static_cast<unsigned>(parts.tm_year + 1900),
          .month = static_cast<unsigned>(parts.tm_mon + 1),
          .day = static_cast<unsigned>(parts.tm_mday),
          .time = fmt::format("{:02}:{:02}:{:02}", parts.tm_hour, parts.tm_min, parts.tm_sec)};
}

}  // namespace

ReadingState::ReadingState(Bytes& source, const ReadOptions& options)
    : bytes(source),
      options_(options),
      window_(source, [this](std::string_view fresh) { return feed_server(fresh); }),
      scanner_({.offset = 0, .format = listing::SpoolFormat::empty, .digests = false}, [this](std::uint64_t offset, std::span<char> out) { return bytes.read(offset, out); }),
      today_(date_of(options.now_s)) {
  report.size = source.size();
  report.cells.resize(report.size == 0 ? 0 : options.cells);
}

base::Status ReadingState::feed_server(std::string_view fresh) {
  fed_ += fresh.size();
  if (report.refused) return {};
  auto fed = scanner_.feed(fresh);
  auto done = scanner_.take();
  if (fed && fed_ == window_.size()) {
    auto rest = scanner_.finish();
    if (!rest) fed = rest.error();
    if (rest) done.insert(done.end(), rest->records.begin(), rest->records.end());
  }
  if (options_.list_units) {
    for (const auto& record : done) report.units.push_back(record.offset);
  }
  report.served += done.size();
  if (fed) return {};
  if (fed.error().kind() != base::ErrorKind::malformed) return fed;
  report.refused = fed.error().detail();
  report.served = 0;
  return {};
}

std::string_view ReadingState::before(std::uint64_t at, std::uint64_t most) const {
  if (at != nuls_at_ || window_.begin() + before_nuls_.size() <= at) return view(at - std::min(at, most), at);
  const std::string_view kept{before_nuls_};
  return kept.substr(kept.size() - std::min<std::uint64_t>(kept.size(), most));
}

std::optional<std::uint64_t> ReadingState::line_start(std::uint64_t at) const {
  const auto text = before(at, kLineReach);
  const auto lf = text.rfind('\n');
  if (lf != std::string_view::npos) return at - (text.size() - lf - 1);
  if (text.size() == at) return 0;
  return std::nullopt;
}

std::uint64_t ReadingState::line_end(std::uint64_t at) const {
  const auto text = view(at, window_.end());
  const auto lf = text.find('\n');
  return lf == std::string_view::npos ? window_.end() : at + lf;
}

std::string_view ReadingState::line_at(std::uint64_t at) const {
  auto line = view(at, line_end(at));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool ReadingState::empty_line_before(std::uint64_t at) const {
  const auto text = before(at, 3);
  if (text.size() == at && (text.empty() || text == "\n" || text == "\r\n")) return true;
  return text.ends_with("\n\n") || text == "\n\r\n";
}

HeaderFacts ReadingState::header_at(std::uint64_t at) const { return read_header(view(at, window_.end()), at_end()); }

base::Status ReadingState::next_event(bool delimiters) {
  while (pos < size()) {
    if (auto moved = move_to(pos); !moved) return moved;
    const std::uint64_t limit = at_end() ? size() : window_.end() - Window::kAhead + 1;
    const char* data = window_.data(window_.begin());
    const auto to = static_cast<std::size_t>(limit - window_.begin());
    const auto found = check::next_event(data, static_cast<std::size_t>(pos - window_.begin()), to, delimiters, report.lines);
    pos = window_.begin() + found;
    if (found != to) return {};
  }
  return {};
}

void ReadingState::skip_to(std::uint64_t to) {
  if (to > pos) skip_lines(to, static_cast<std::uint64_t>(std::ranges::count(view(pos, to), '\n')));
}

void ReadingState::skip_lines(std::uint64_t to, std::uint64_t lines) {
  if (to <= pos) return;
  const auto text = view(pos, to);
  report.lines.lf += lines;
  if (text.find('\r') != std::string_view::npos) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\r') continue;
      ++report.lines.cr;
      // The octet behind may be the one that comes next.
      if (view(pos + i + 1, pos + i + 2) == "\n") ++report.lines.crlf;
    }
  }
  pos = to;
}

base::Result<std::uint64_t> ReadingState::pass_nuls() {
  before_nuls_ = before(pos, kBeforeNuls);
  nuls_at_ = pos;
  while (pos < size()) {
    if (auto moved = move_to(pos); !moved) return moved.error();
    const auto to = static_cast<std::size_t>(window_.end() - window_.begin());
    pos = window_.begin() + end_of_nuls(window_.data(window_.begin()), static_cast<std::size_t>(pos - window_.begin()), to);
    if (pos < window_.end()) break;
  }
  if (auto moved = move_to(pos); !moved) return moved.error();
  return pos;
}

std::uint64_t ReadingState::line_number(std::uint64_t at) const {
  const auto between = at < pos ? view(at, pos) : view(pos, at);
  const auto lines = static_cast<std::uint64_t>(std::ranges::count(between, '\n'));
  return at < pos ? line_number() - lines : line_number() + lines;
}

void ReadingState::paint(Region region, std::uint64_t to) {
  if (to <= painted_) return;
  report.octets.at(static_cast<std::size_t>(region)) += to - painted_;
  if (!report.cells.empty()) {
    const std::uint64_t each = std::max<std::uint64_t>(1, (size() + report.cells.size() - 1) / report.cells.size());
    for (std::uint64_t at = painted_; at < to;) {
      const auto cell = at / each;
      const auto end = std::min(to, (cell + 1) * each);
      report.cells.at(cell).at(static_cast<std::size_t>(region)) += static_cast<std::uint32_t>(end - at);
      at = end;
    }
  }
  painted_ = to;
}

Finding& ReadingState::find(Id id, std::uint64_t at, std::uint64_t length, std::uint64_t line, std::string detail) {
  static Finding nobody;
  report.worst = std::max(report.worst, row_of(id).severity);
  if (report.findings.size() >= kMostFindings) {
    ++report.findings_left_out;
    return nobody;
  }
  Finding finding;
  finding.id = id;
  finding.offset = at;
  finding.length = length;
  finding.line = line;
  finding.message = message;
  auto text = view(at, at + kExcerpt + 1);
  text = text.substr(0, text.find('\n'));
  finding.excerpt = base::escape_untrusted(text, kExcerpt);
  finding.detail = std::move(detail);
  return report.findings.emplace_back(std::move(finding));
}

Finding& ReadingState::repair(Id id, std::uint64_t at, std::uint64_t removed, std::string inserted, std::uint64_t line, std::string detail) {
  edit({.offset = at, .removed = removed, .inserted = std::move(inserted), .id = id});
  Finding& finding = find(id, at, removed, line, std::move(detail));
  finding.repairable = true;
  return finding;
}

std::string ReadingState::quarantine_header(Id id) const {
  const auto date = postmark_date(today_);
  return fmt::format(
      "From popcheck@localhost {0}\nFrom: popcheck <popcheck@localhost>\nSubject: bytes of the spool that belong to no message\n"
      "Date: {1:.3}, {2} {3:.3} {4} {5} +0000\nX-Popcheck: {6}\n\n",
      date, date, today_.day, std::string_view{date}.substr(4), today_.year, today_.time, row_of(id).name);
}

void finish_report(Report& report) {
  std::ranges::stable_sort(report.findings, {}, &Finding::offset);
  std::ranges::stable_sort(report.edits, {}, &Edit::offset);
}

}  // namespace qpop::check
