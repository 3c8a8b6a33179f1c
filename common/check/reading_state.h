// SPDX-License-Identifier: MIT
// What the readings of both formats share: the window, the server's scan beside it, findings, regions.
#pragma once

#include <optional>
#include <string>

#include "common/check/bytes.h"
#include "common/check/header.h"
#include "common/check/report.h"
#include "common/mbox/scanner.h"

namespace qpop::check {

inline constexpr std::string_view kMmdfSeparator = "\x01\x01\x01\x01";
/// Fewer NUL octets than that may be meant so.
inline constexpr std::uint64_t kHole = 16;

class ReadingState {
 public:
  ReadingState(Bytes& bytes, const ReadOptions& options);

  [[nodiscard]] base::Status move_to(std::uint64_t at) { return window_.move_to(at); }
  [[nodiscard]] std::string_view view(std::uint64_t from, std::uint64_t to) const { return window_.view(from, to); }
  /// The octets before `at`, at most `most`; in front of the NUL octets that were passed last a few at least.
  [[nodiscard]] std::string_view before(std::uint64_t at, std::uint64_t most) const;
  [[nodiscard]] std::uint64_t size() const { return window_.size(); }
  [[nodiscard]] bool at_end() const { return window_.end() == window_.size(); }

  /// Where the line that holds `at` begins; nothing when that is too far away.
  [[nodiscard]] std::optional<std::uint64_t> line_start(std::uint64_t at) const;
  /// Of the LF that ends the line, or the end of the spool, or of what can be seen.
  [[nodiscard]] std::uint64_t line_end(std::uint64_t at) const;
  /// The line from `at` on without its end.
  [[nodiscard]] std::string_view line_at(std::uint64_t at) const;
  [[nodiscard]] std::uint64_t next_line(std::uint64_t at) const { return std::min(line_end(at) + 1, size()); }
  [[nodiscard]] bool empty_line_before(std::uint64_t at) const;
  [[nodiscard]] HeaderFacts header_at(std::uint64_t at) const;

  /// Runs to the next event; `pos` is the end when there is none.
  [[nodiscard]] base::Status next_event(bool delimiters);
  /// Moves on and counts the lines that are passed. Precondition: `to` lies in the window.
  void skip_to(std::uint64_t to);
  /// The same for a text whose lines were counted.
  void skip_lines(std::uint64_t to, std::uint64_t lines);
  /// End of the NUL octets that begin at pos; the window moves along.
  [[nodiscard]] base::Result<std::uint64_t> pass_nuls();
  [[nodiscard]] std::uint64_t line_number() const { return report.lines.lf + 1; }
  /// Line number of a place in the window that is not far from pos.
  [[nodiscard]] std::uint64_t line_number(std::uint64_t at) const;

  void paint(Region region, std::uint64_t to);
  Finding& find(Id id, std::uint64_t at, std::uint64_t length, std::uint64_t line, std::string detail = {});
  void edit(Edit change) { report.edits.push_back(std::move(change)); }
  /// Finding with its change.
  Finding& repair(Id id, std::uint64_t at, std::uint64_t removed, std::string inserted, std::uint64_t line, std::string detail = {});
  [[nodiscard]] std::string_view eol() const { return report.lines.crlf * 2 > report.lines.lf ? "\r\n" : "\n"; }
  /// The date for lines of which nothing is known.
  [[nodiscard]] const Date& today() const { return today_; }
  /// The header of a message that holds bytes of no message; ends with an empty line.
  [[nodiscard]] std::string quarantine_header(Id id) const;

  Bytes& bytes;
  Report report;
  std::uint64_t pos = 0;
  std::uint64_t message = 0;  ///< number of the one that is open

 private:
  base::Status feed_server(std::string_view fresh);

  ReadOptions options_;
  Window window_;
  mbox::Scanner scanner_;
  std::uint64_t fed_ = 0;
  std::uint64_t painted_ = 0;
  Date today_;
  std::uint64_t nuls_at_ = 0;
  std::string before_nuls_;  ///< the window may have left it behind
};

/// Puts findings and changes into order and drops what a larger change swallows.
void finish_report(Report& report);

}  // namespace qpop::check
