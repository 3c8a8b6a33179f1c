// SPDX-License-Identifier: MIT
// Recognition of postmarks: the date is looked for at the end of the line, because the sender is free text.
#include "common/mbox/from_line.h"

#include <algorithm>
#include <optional>
#include <span>

#include "common/base/text.h"
#include "common/mbox/calendar.h"

namespace qpop::mbox {

namespace {

using base::is_alpha;
using base::is_digit;

/// Takes fields off the front of a text; after the first field that does not fit everything fails.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool name_of(std::span<const std::string_view> names) {
    const auto word = rest_.substr(0, 3);
    if (std::ranges::find(names, word) == names.end()) return false;
    rest_.remove_prefix(3);
    return true;
  }

  /// `min` to `max` digits with a value from `low` to `high`.
  bool number(std::size_t min, std::size_t max, unsigned low, unsigned high) {
    std::size_t size = 0;
    unsigned value = 0;
    while (size < rest_.size() && size < max && is_digit(rest_[size])) {
      value = value * 10 + static_cast<unsigned>(rest_[size++] - '0');
    }
    if (size < min || value < low || value > high) return false;
    rest_.remove_prefix(size);
    return true;
  }

  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool blanks() {
    const auto size = std::min(rest_.find_first_not_of(' '), rest_.size());
    rest_.remove_prefix(size);
    return size > 0;
  }

  bool letters(std::size_t max) {
    std::size_t size = 0;
    while (size < rest_.size() && is_alpha(rest_[size])) ++size;
    if (size == 0 || size > max) return false;
    rest_.remove_prefix(size);
    return true;
  }

  [[nodiscard]] char front() const { return rest_.empty() ? '\0' : rest_.front(); }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

bool take_year(Cursor& at) {
  return at.number(4, 4, 1900, 9999) && !is_digit(at.front());
}

bool take_zone(Cursor& at) {
  if (at.take('+') || at.take('-')) return at.number(2, 2, 0, 23) && at.number(2, 2, 0, 59) && !is_digit(at.front());
  if (!at.letters(6)) return false;
  Cursor second = at;  // "MET DST"
  if (second.blanks() && second.rest().starts_with("DST") && second.letters(3)) at = second;
  return true;
}

bool take_time(Cursor& at) {
  if (!at.number(1, 2, 0, 23) || !at.take(':') || !at.number(2, 2, 0, 59)) return false;
  return !at.take(':') || at.number(2, 2, 0, 60);  // 60: leap second
}

/// Blanks and ` remote from host` after the date.
bool is_ending(std::string_view rest) {
  constexpr std::string_view kRemote = "remote from ";
  const auto text = base::trim(rest);
  if (text.empty()) return true;
  return rest.front() == ' ' && text.starts_with(kRemote) && !base::trim(text.substr(kRemote.size())).empty();
}

/// Length of the date that `text` starts with, when nothing but an ending follows it.
std::optional<std::size_t> date_length(std::string_view text) {
  Cursor at{text};
  if (!at.name_of(kDays) || !at.blanks() || !at.name_of(kMonths) || !at.blanks()) return std::nullopt;
  if (!at.number(1, 2, 1, 31) || !at.blanks() || !take_time(at) || !at.blanks()) return std::nullopt;
  if (!is_digit(at.front())) {
    if (!take_zone(at) || !at.blanks() || !take_year(at)) return std::nullopt;
    return is_ending(at.rest()) ? std::optional{text.size() - at.rest().size()} : std::nullopt;
  }
  if (!take_year(at)) return std::nullopt;
  if (is_ending(at.rest())) return text.size() - at.rest().size();
  if (!at.blanks() || !take_zone(at) || !is_ending(at.rest())) return std::nullopt;
  return text.size() - at.rest().size();
}

std::optional<FromLine> recognise(std::string_view line) {
  constexpr std::string_view kStart = "From ";
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.size() > kMaxPostmark || !line.starts_with(kStart)) return std::nullopt;
  for (std::size_t at = kStart.size(); at < line.size(); ++at) {
    if ((line[at - 1] != ' ' && line[at - 1] != '\t') || line[at] < 'F' || line[at] > 'W') continue;  // initials of the weekdays lie between
    const auto length = date_length(line.substr(at));
    if (!length) continue;
    return FromLine{.sender = base::trim(line.substr(kStart.size(), at - kStart.size())),
                    .date = line.substr(at, *length)};
  }
  return std::nullopt;
}

}  // namespace

base::Result<FromLine> parse_from_line(std::string_view line) {
  if (const auto found = recognise(line)) return *found;
  return base::Error{base::ErrorKind::malformed, "not a From_ line"};
}

bool is_from_line(std::string_view line) {
  return recognise(line).has_value();
}

}  // namespace qpop::mbox
