// SPDX-License-Identifier: MIT
// Words of a damaged From_ line, each recognised on its own.
#include "common/check/postmark.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "common/base/text.h"
#include "common/mbox/calendar.h"
#include "common/mbox/from_line.h"

namespace qpop::check {

namespace {

using base::is_digit;

constexpr std::string_view kFrom = "From ";
constexpr std::size_t kLongest = 512;

struct Word {
  std::string_view text;
  std::size_t at = 0;
};

std::vector<Word> words_of(std::string_view line) {
  std::vector<Word> out;
  for (std::size_t at = 0; at < line.size() && out.size() < 64;) {
    at = line.find_first_not_of(" \t\r", at);
    if (at == std::string_view::npos) break;
    const auto end = std::min(line.find_first_of(" \t\r", at), line.size());
    out.push_back({line.substr(at, end - at), at});
    at = end;
  }
  return out;
}

/// Differs in one octet at most, of words of equal length.
bool is_nearly(std::string_view word, std::string_view name) {
  if (word.size() != name.size()) return false;
  unsigned wrong = 0;
  for (std::size_t i = 0; i < name.size(); ++i) wrong += word[i] == name[i] ? 0U : 1U;
  return wrong <= 1;
}

bool is_weekday(std::string_view word) {
  return std::ranges::any_of(mbox::kDays, [&](std::string_view day) { return is_nearly(word, day); });
}

/// A word that differs from a month in one octet is a month, when that says which.
unsigned nearly_month(std::string_view word) {
  if (const unsigned exact = month_of(word); exact != 0) return exact;
  unsigned found = 0;
  for (unsigned i = 0; i < 12; ++i) {
    if (!is_nearly(word, mbox::kMonths.at(i))) continue;
    if (found != 0) return 0;
    found = i + 1;
  }
  return found;
}

/// "hh:mm" or "hh:mm:ss"; empty: neither.
std::string time_of(std::string_view word) {
  auto time = leading_time(word);
  return word.size() == 5 || time == word ? time : std::string{};
}

unsigned year_of(std::string_view word) {
  const auto year = word.size() == 4 ? base::parse_decimal(word).value_or(0) : 0;
  return year >= 1970 && year <= 2199 ? static_cast<unsigned>(year) : 0;
}

/// How a line that lost or changed one octet of "From " begins: the number of octets before the sender, or 0.
std::size_t damaged_start(std::string_view line) {
  if (line.size() < 20) return 0;
  unsigned wrong = 0;
  for (std::size_t i = 0; i < kFrom.size(); ++i) wrong += line[i] == kFrom[i] ? 0U : 1U;
  if (wrong == 1) return kFrom.size();
  for (std::size_t lost = 0; lost < kFrom.size(); ++lost) {
    const auto rest = std::string{kFrom.substr(0, lost)} + std::string{kFrom.substr(lost + 1)};
    if (line.starts_with(rest)) return rest.size();
  }
  return 0;
}

/// The first header field in the same line: behind a year, perhaps with one octet between them.
std::size_t find_glued_field(std::string_view line, const std::vector<Word>& words) {
  for (const auto& word : words) {
    if (word.text.size() < 6 || year_of(word.text.substr(0, 4)) == 0 || is_digit(word.text[4])) continue;
    const auto behind = word.at + 4;
    if (!mbox::is_from_line(line.substr(0, behind))) continue;
    if (is_field(line.substr(behind))) return behind;
    if (is_field(line.substr(behind + 1))) return behind + 1;
  }
  return 0;
}

void read_date(const std::vector<Word>& words, PostmarkGuess& out, std::size_t& date_at) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto word = words[i].text;
    const bool first = date_at == std::string_view::npos;
    if (i > 0 && first && is_weekday(word) && i + 1 < words.size() &&
        (nearly_month(words[i + 1].text) != 0 || is_digit(words[i + 1].text.front()))) {
      date_at = words[i].at;
      ++out.score;
      continue;
    }
    if (i == 0) continue;
    if (const unsigned month = nearly_month(word); out.date.month == 0 && month != 0 && i + 1 < words.size()) {
      const auto day = base::parse_decimal(words[i + 1].text).value_or(0);
      if (day >= 1 && day <= 31) {
        out.date.month = month;
        out.date.day = static_cast<unsigned>(day);
        ++out.score;
        if (first) date_at = words[i].at;
        continue;
      }
    }
    if (auto time = time_of(word); out.date.time.empty() && !time.empty()) {
      out.date.time = std::move(time);
      ++out.score;
      if (date_at == std::string_view::npos) date_at = words[i].at;
      continue;
    }
    if (const unsigned year = year_of(word); date_at != std::string_view::npos && year != 0) {
      if (out.date.year == 0) ++out.score;
      out.date.year = year;
    }
  }
}

std::string flaw_of(std::string_view line, const PostmarkGuess& guess) {
  if (guess.field_at > 0) return "a header field stands in the same line";
  if (guess.only_start) return "the word From is damaged";
  if (line.size() > mbox::kMaxPostmark) return "too long";
  if (line.find('\0') != std::string_view::npos) return "NUL octets in it";
  if (line.find('\r') < line.size() - 1) return "a CR inside";
  if (guess.score == 0) return "no date";
  if (guess.date.time.empty()) return "no time of day";
  if (guess.date.year == 0) return "no year";
  if (guess.date.month == 0) return "no month and day";
  if (guess.score < 4) return "no day of the week";
  return "a date that cannot be read";
}

/// Fit for a From_ line: no blanks, no control characters.
std::string clean_sender(std::string_view sender) {
  std::string out;
  for (const char c : sender.substr(0, 200)) {
    if (c > ' ' && c != '\x7F') out += c;
  }
  return out;
}

Date complete(Date date, const Date& from) {
  if (date.year == 0) date.year = from.year;
  if (date.month == 0) {
    date.month = from.month;
    date.day = from.day;
  }
  if (date.time.empty()) date.time = from.time;
  return date;
}

}  // namespace

PostmarkGuess guess_postmark(std::string_view line) {
  PostmarkGuess out;
  line = line.substr(0, kLongest * 4);
  out.from = line.starts_with(kFrom);
  std::size_t start = out.from ? kFrom.size() : damaged_start(line);
  if (!out.from && start > 0) {
    out.only_start = mbox::is_from_line(std::string{kFrom} + std::string{line.substr(start)});
    if (!out.only_start) start = 0;
  }
  const auto words = words_of(line.substr(0, kLongest));
  if (out.from) out.field_at = find_glued_field(line, words);
  std::size_t date_at = std::string_view::npos;
  read_date(words, out, date_at);
  if (start > 0) {
    const auto end = std::min(date_at, line.size());
    out.sender = base::trim(line.substr(start, end > start ? end - start : 0));
    out.sender = out.sender.substr(0, out.sender.find_first_of(" \t\r"));
  }
  out.flaw = flaw_of(line, out);
  return out;
}

std::string make_postmark(const PostmarkGuess* guess, const HeaderFacts& header, const Date& fallback) {
  std::string sender = guess == nullptr ? "" : clean_sender(guess->sender);
  if (sender.empty()) sender = clean_sender(header.return_path);
  if (sender.empty()) sender = clean_sender(header.from);
  if (sender.empty()) sender = "MAILER-DAEMON";
  Date date = guess == nullptr ? Date{} : guess->date;
  for (const auto& from : {find_date(header.received), find_date(header.date), fallback}) date = complete(std::move(date), from);
  auto line = fmt::format("From {} {}\n", sender, postmark_date(date));
  // Numbers that fit each for itself may not make a date that the server takes.
  if (!mbox::is_from_line(std::string_view{line}.substr(0, line.size() - 1)))
    line = fmt::format("From {} {}\n", sender, postmark_date(fallback));
  return line;
}

}  // namespace qpop::check
