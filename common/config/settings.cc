// SPDX-License-Identifier: MIT
// Checking and storing of option values.
#include "common/config/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "common/base/text.h"

namespace qpop::config {

namespace {

constexpr std::string_view kDefault = "default";

using base::Error;
using base::ErrorKind;

base::Result<std::string> normalise_boolean(std::string_view value) {
  if (base::equal_ignoring_case(value, "true") || value == "1") return std::string{"true"};
  if (base::equal_ignoring_case(value, "false") || value == "0") return std::string{"false"};
  return Error{ErrorKind::malformed, "want true or false"};
}

/// C notation as in the original: decimal, 0x hexadecimal, leading 0 octal.
std::optional<std::int64_t> parse_c_number(std::string_view digits) {
  int radix = 10;
  if (digits.size() > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) {
    radix = 16;
    digits.remove_prefix(2);
  } else if (digits.size() > 1 && digits[0] == '0') {
    radix = 8;
    digits.remove_prefix(1);
  }
  if (digits.empty() || digits.front() == '-') return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, radix);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

base::Result<std::string> normalise_number(const Option& row, std::string_view value) {
  std::int64_t unit = 1;
  const auto digits = std::min(value.find_first_not_of("0123456789"), value.size());
  const bool hexadecimal = value.starts_with("0x") || value.starts_with("0X");
  if (row.type == Type::seconds && !hexadecimal && digits > 0 && digits < value.size()) {
    const auto suffix = base::trim(value.substr(digits));
    unit = suffix == "s" ? 1 : suffix == "m" ? 60 : suffix == "h" ? 3600 : 0;
    if (unit == 0) return Error{ErrorKind::malformed, "unit not known; use s, m or h"};
    value = value.substr(0, digits);
  }
  const auto number = parse_c_number(value);
  if (!number) return Error{ErrorKind::malformed, row.type == Type::seconds ? "want a number of seconds, or one with s, m or h" : "want a number"};
  if (*number > row.most / unit || *number * unit < row.least) {
    return Error{ErrorKind::limit, fmt::format("out of bounds; least {}, most {}", row.least, row.most)};
  }
  return fmt::format("{}", *number * unit);
}

base::Result<std::string> normalise_days(const Option& row, std::string_view value) {
  if (base::equal_ignoring_case(value, kNever) || value == "-1") return std::string{kNever};
  const auto number = parse_c_number(value);
  if (!number) return Error{ErrorKind::malformed, "want a number of days, or never"};
  if (*number < row.least || *number > row.most) return Error{ErrorKind::limit, fmt::format("out of bounds; least {}, most {}", row.least, row.most)};
  return fmt::format("{}", *number);
}

base::Result<std::string> normalise_mnemonic(const Option& row, std::string_view value) {
  const auto known = base::words(row.mnemonics);
  for (const auto word : known) {
    if (base::equal_ignoring_case(word, value)) return std::string{word};
  }
  if (base::equal_ignoring_case(value, "ssl") && std::ranges::find(known, "tls") != known.end()) return std::string{"tls"};
  return Error{ErrorKind::malformed, fmt::format("want one of: {}", fmt::join(known, ", "))};
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t same = base::to_lower(a[i]) == base::to_lower(b[j]) ? diagonal : diagonal + 1;
      diagonal = row[j + 1];
      row[j + 1] = std::min({same, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

const Option* find_option(std::string_view name) {
  // Both spellings are the original's.
  if (base::equal_ignoring_case(name, "UW-kluge")) name = option(Opt::uw_kludge).name;
  for (const Option& row : kOptions) {
    if (base::equal_ignoring_case(row.name, name)) return &row;
  }
  return nullptr;
}

std::string_view nearest_option(std::string_view name) {
  if (name.size() > 64) return {};
  std::size_t best = std::max<std::size_t>(2, name.size() / 3) + 1;
  std::string_view nearest;
  for (const Option& row : kOptions) {
    if (const auto distance = edit_distance(name, row.name); distance < best) {
      best = distance;
      nearest = row.name;
    }
  }
  return nearest;
}

base::Result<std::string> normalise(const Option& row, std::string_view value) {
  switch (row.type) {
    case Type::boolean:
      return normalise_boolean(value);
    case Type::integer:
    case Type::seconds:
      return normalise_number(row, value);
    case Type::days:
      return normalise_days(row, value);
    case Type::mnemonic:
      return normalise_mnemonic(row, value);
    case Type::text:
    case Type::list:
      if (value.size() > 1000) return Error{ErrorKind::limit, "longer than 1000 octets"};
      if (!base::is_printable_utf8(value)) return Error{ErrorKind::malformed, "holds control characters"};
      return std::string{value};
  }
  return Error{ErrorKind::malformed, "no such type"};
}

Settings::Settings() {
  for (const Option& row : kOptions) {
    if (row.type == Type::list) continue;
    Value& stored = values_.at(static_cast<std::size_t>(row.id));
    stored.texts.emplace_back(row.preset);
    stored.sources.emplace_back(kDefault);
  }
}

base::Status Settings::set(const Option& row, std::string_view value, std::string_view source) {
  auto text = normalise(row, value);
  if (!text) return text.error();
  Value& stored = values_.at(static_cast<std::size_t>(row.id));
  if (row.type != Type::list) {
    stored.texts.clear();
    stored.sources.clear();
  }
  stored.texts.push_back(std::move(*text));
  stored.sources.emplace_back(source);
  return {};
}

const std::string& Settings::source(Opt id) const {
  static const std::string unset{kDefault};
  const auto& sources = value(id).sources;
  return sources.empty() ? unset : sources.back();
}

bool Settings::boolean(Opt id) const { return value(id).texts.at(0) == "true"; }

std::int64_t Settings::number(Opt id) const {
  const std::string& text = value(id).texts.at(0);
  if (text == kNever) return -1;
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

const std::string& Settings::text(Opt id) const { return value(id).texts.at(0); }
const std::vector<std::string>& Settings::list(Opt id) const { return value(id).texts; }

std::size_t Settings::choice(Opt id) const {
  const auto known = base::words(option(id).mnemonics);
  return static_cast<std::size_t>(std::ranges::find(known, std::string_view{text(id)}) - known.begin());
}

}  // namespace qpop::config
