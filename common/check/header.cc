// SPDX-License-Identifier: MIT
// Header fields by lines: names first, values only of the few that matter.
#include "common/check/header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/text.h"
#include "common/mbox/calendar.h"
#include "common/mbox/header_field.h"

namespace qpop::check {

namespace {

using base::equal_ignoring_case;
using base::is_digit;
using base::to_lower;
using base::trim;
using mbox::kDays;
using mbox::kMonths;

enum class Field : std::uint8_t { other, known, received, return_path, transport, from, date, subject, content_length, content_type, x_imap };

struct Name {
  std::string_view text;
  Field field;
};

constexpr std::array kNames{
    Name{"received", Field::received},       Name{"return-path", Field::return_path},     Name{"delivered-to", Field::transport},
    Name{"message-id", Field::transport},    Name{"from", Field::from},                   Name{"date", Field::date},
    Name{"subject", Field::subject},         Name{"to", Field::known},                    Name{"cc", Field::known},
    Name{"mime-version", Field::known},      Name{"content-type", Field::content_type},   Name{"content-transfer-encoding", Field::known},
    Name{"reply-to", Field::known},          Name{"sender", Field::known},                Name{"status", Field::known},
    Name{"x-status", Field::known},          Name{"x-uidl", Field::known},                Name{"content-length", Field::content_length},
    Name{"lines", Field::known},             Name{"references", Field::known},            Name{"in-reply-to", Field::known},
    Name{"envelope-to", Field::transport},   Name{"x-original-to", Field::transport},     Name{"dkim-signature", Field::transport},
    Name{"user-agent", Field::known},        Name{"x-mailer", Field::known},              Name{"list-id", Field::known},
    Name{"authentication-results", Field::transport}, Name{"x-imap", Field::x_imap},      Name{"x-imapbase", Field::known},
};

constexpr std::size_t kLongestName = 76;

/// Length of the field name before the colon; 0: no field.
std::size_t name_size(std::string_view line) {
  const auto most = std::min(line.size(), kLongestName + 1);
  for (std::size_t i = 0; i < most; ++i) {
    if (line[i] == ':') return i;
    if (line[i] <= ' ' || line[i] > '~') return 0;
  }
  return 0;
}

Field field_of(std::string_view name) {
  for (const auto& known : kNames) {
    if (known.text.size() == name.size() && known.text.front() == to_lower(name.front()) && equal_ignoring_case(known.text, name))
      return known.field;
  }
  return Field::other;
}

unsigned number_of(std::string_view text) {
  return static_cast<unsigned>(text.size() <= 4 ? base::parse_decimal(text).value_or(0) : 0);
}

/// Value of a parameter of Content-Type, over its continuation lines.
std::string_view parameter(std::string_view value, std::string_view name) {
  for (std::size_t at = value.find(';'); at != std::string_view::npos; at = value.find(';', at + 1)) {
    auto rest = value.substr(at + 1);
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
    if (rest.size() <= name.size() || !equal_ignoring_case(rest.substr(0, name.size()), name) || rest[name.size()] != '=') continue;
    rest.remove_prefix(name.size() + 1);
    if (rest.starts_with('"')) return rest.substr(1, rest.find('"', 1) - 1);
    return rest.substr(0, rest.find_first_of("; \t\r\n"));
  }
  return {};
}

std::string_view address_of(std::string_view value) {
  const auto open = value.rfind('<');
  if (open != std::string_view::npos) return trim(value.substr(open + 1, value.find('>', open) - open - 1));
  value = trim(value);
  return value.substr(0, value.find_first_of(" \t\r\n"));
}

class Reader {
 public:
  Reader(std::string_view text, bool at_end) : text_(text), at_end_(at_end) {}

  HeaderFacts run() {
    while (at_ < text_.size()) {
      const auto end = text_.find('\n', at_);
      if (end == std::string_view::npos && !at_end_) break;
      const auto next = end == std::string_view::npos ? text_.size() : end + 1;
      auto line = text_.substr(at_, (end == std::string_view::npos ? text_.size() : end) - at_);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.empty()) {
        finish_field();
        take(next);
        facts_.complete = true;
        return done();
      }
      if (!take_line(line)) break;
      take(next);
    }
    finish_field();
    return done();
  }

 private:
  void take(std::size_t next) {
    ++facts_.lines;
    at_ = next;
  }

  HeaderFacts done() {
    facts_.length = at_;
    if (lengths_ != 1) facts_.content_length.reset();
    facts_.internal_data = signs_.enough();
    return facts_;
  }

  bool take_line(std::string_view line) {
    if (line.find('\0') != std::string_view::npos) facts_.nul = true;
    if (line.front() == ' ' || line.front() == '\t') {
      if (facts_.lines > 0) return true;
      facts_.odd = true;
      return false;
    }
    const auto size = name_size(line);
    if (size == 0) {
      if (line.starts_with(">From ")) return true;
      // Bytes that were damaged do not end a header; text does, and what may start or end a message.
      const bool border = line.starts_with("From ") || line == "\x01\x01\x01\x01";
      if (!border && facts_.fields > 0 && (facts_.nul || is_field(after_damage()))) {
        facts_.odd = true;
        return true;
      }
      facts_.odd = true;
      return false;
    }
    finish_field();
    if (facts_.lines == 0) facts_.begins = true;
    ++facts_.fields;
    field_ = field_of(line.substr(0, size));
    value_at_ = at_ + size + 1;
    return true;
  }

  /// The line behind the one that is none of a header.
  [[nodiscard]] std::string_view after_damage() const {
    const auto end = text_.find('\n', at_);
    return end == std::string_view::npos ? std::string_view{} : text_.substr(end + 1, kLongestName + 1);
  }

  /// The lines [value_at_, at_) are the value of the open field.
  void finish_field() {
    if (field_ == Field::other) return;
    ++facts_.known;
    const auto value = text_.substr(value_at_, at_ - value_at_);
    switch (std::exchange(field_, Field::other)) {
      case Field::received:
        facts_.transport = true;
        if (facts_.received.empty()) facts_.received = value.substr(value.rfind(';') + 1);
        break;
      case Field::return_path:
        facts_.transport = true;
        if (facts_.return_path.empty()) facts_.return_path = address_of(value);
        break;
      case Field::transport:
        facts_.transport = true;
        break;
      case Field::from:
        if (facts_.from.empty()) facts_.from = address_of(value);
        signs_.take_from(value);
        break;
      case Field::date:
        if (facts_.date.empty()) facts_.date = value;
        break;
      case Field::subject:
        signs_.take_subject(value);
        break;
      case Field::content_length:
        take_length(value);
        break;
      case Field::content_type:
        facts_.boundary = parameter(value, "boundary");
        break;
      case Field::x_imap:
        signs_.take_imap();
        break;
      case Field::known:
      case Field::other:
        break;
    }
  }

  void take_length(std::string_view value) {
    ++lengths_;
    const auto digits = trim(value.substr(0, value.find_first_of("\r\n")));
    facts_.content_length = base::parse_decimal(digits);
    facts_.value_at = static_cast<std::size_t>(digits.data() - text_.data());
    facts_.value_size = digits.size();
  }

  std::string_view text_;
  bool at_end_;
  std::size_t at_ = 0;
  HeaderFacts facts_;
  Field field_ = Field::other;
  std::size_t value_at_ = 0;
  unsigned lengths_ = 0;
  mbox::InternalSigns signs_;
};

}  // namespace

unsigned month_of(std::string_view name) {
  const auto* found = std::ranges::find(kMonths, name);
  return found == kMonths.end() ? 0 : static_cast<unsigned>(found - kMonths.begin()) + 1;
}

std::string leading_time(std::string_view text) {
  const auto two = [&](std::size_t at, unsigned most) { return is_digit(text[at]) && is_digit(text[at + 1]) && number_of(text.substr(at, 2)) <= most; };
  const bool has_seconds = text.size() >= 8 && text[5] == ':' && is_digit(text[6]) && is_digit(text[7]);
  if (text.size() < 5 || text[2] != ':' || !two(0, 23) || !two(3, 59) || (has_seconds && !two(6, 60))) return {};
  return has_seconds ? std::string{text.substr(0, 8)} : std::string{text.substr(0, 5)} + ":00";
}

Date find_date(std::string_view value) {
  std::array<std::string_view, 4> last{};
  while (!value.empty()) {
    value.remove_prefix(std::min(value.find_first_not_of(" \t\r\n,"), value.size()));
    const auto word = value.substr(0, value.find_first_of(" \t\r\n,"));
    value.remove_prefix(word.size());
    last = {last[1], last[2], last[3], word};
    const unsigned month = month_of(last[1].substr(0, 3));
    const unsigned day = number_of(last[0]);
    const unsigned year = number_of(last[2]);
    if (month == 0 || day == 0 || day > 31 || year < 1970) continue;
    auto time = leading_time(last[3]);
    if (!time.empty()) return {.year = year, .month = month, .day = day, .time = std::move(time)};
  }
  return {};
}

std::string postmark_date(const Date& date) {
  // Sakamoto's rule for the day of the week.
  constexpr std::array<unsigned, 12> kShift{0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
  const unsigned year = date.month < 3 ? date.year - 1 : date.year;
  const unsigned weekday = (year + year / 4 - year / 100 + year / 400 + kShift.at(date.month - 1) + date.day) % 7;
  return fmt::format("{} {} {:2} {} {:04}", kDays.at(weekday), kMonths.at(date.month - 1), date.day, date.time, date.year);
}

HeaderFacts read_header(std::string_view text, bool at_end) { return Reader{text, at_end}.run(); }

bool is_field(std::string_view line) { return name_size(line) > 0; }

}  // namespace qpop::check
