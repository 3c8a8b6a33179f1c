// SPDX-License-Identifier: MIT
// Lines that stand where a message starts, and are no valid From_ lines.
#include <fmt/format.h>

#include "common/check/mbox_reading.h"
#include "common/mbox/from_line.h"

namespace qpop::check {

std::string MboxReading::made_line(const PostmarkGuess* guess, const HeaderFacts& header) const {
  return make_postmark(guess, header, s_.today());
}

/// A line that begins with "From " and is not valid. A sentence may begin so; the header behind it decides.
bool MboxReading::damaged_from(std::uint64_t at, bool empty_before) {
  const auto line = s_.line_at(at);
  const auto guess = guess_postmark(line);
  if (guess.field_at > 0) {
    const auto header = s_.header_at(at + guess.field_at);
    if (!header.strong() || covered(at)) return false;
    split_field(at, guess, empty_before);
    return true;
  }
  const auto header = s_.header_at(s_.next_line(at));
  if (!header.strong() || covered(at)) return false;
  const bool address = line.find('@') != std::string_view::npos && line.size() < 200;
  const bool one_word = line.size() < 60 && line.find(' ', 5) == std::string_view::npos;
  const bool likely = empty_before ? guess.score >= 2 || (header.certain() && (guess.score >= 1 || address || one_word))
                                   : guess.score >= 3 && header.certain();
  if (!likely) return false;
  replace_line(at, guess, header, empty_before);
  return true;
}

/// The line at `at` gives way to a valid one.
void MboxReading::replace_line(std::uint64_t at, const PostmarkGuess& guess, const HeaderFacts& header, bool empty_before) {
  const auto next = s_.next_line(at);
  const auto line = s_.view(at, next);
  std::string made;
  std::uint64_t removed = next - at;
  if (guess.only_start) {
    // Only the word is damaged: what can be read stays.
    const auto sender = line.find(guess.sender.empty() ? " " : guess.sender);
    made = "From ";
    removed = std::min<std::uint64_t>(sender == std::string_view::npos ? 5 : sender, line.size());
  } else {
    made = made_line(&guess, header);
    if (line.ends_with("\r\n")) made.insert(made.size() - 1, "\r");
  }
  const std::uint64_t number = s_.line_number(at);
  const std::string gap{empty_before ? std::string_view{} : s_.eol()};
  ++s_.message;
  auto& finding = s_.repair(Id::damaged_postmark, at, removed, gap + made, number,
                            fmt::format("{}; {} header fields follow", guess.flaw, header.fields));
  finding.length = next - at;
  --s_.message;
  close_message(at, false);
  open_message(at, next, header);
}

/// The first header field lost its place at the start of a line.
void MboxReading::split_field(std::uint64_t at, const PostmarkGuess& guess, bool empty_before) {
  const std::uint64_t field = at + guess.field_at;
  const auto header = s_.header_at(field);
  // One octet between the year and the field was the end of the line.
  const bool octet = !mbox::is_from_line(s_.view(at, field));
  const std::uint64_t number = s_.line_number(at);
  if (!empty_before) s_.edit({.offset = at, .removed = 0, .inserted = std::string{s_.eol()}, .id = Id::damaged_postmark});
  ++s_.message;
  s_.repair(Id::damaged_postmark, field - (octet ? 1 : 0), octet ? 1 : 0, std::string{s_.eol()}, number, guess.flaw).offset = at;
  --s_.message;
  close_message(at, false);
  open_message(at, field, header);
}

}  // namespace qpop::check
