// SPDX-License-Identifier: MIT
// Unique-ids of the original.
#include "common/mbox/qpopper_id.h"

#include <algorithm>

#include "common/base/text.h"
#include "common/digest/digest.h"
#include "common/mbox/header_field.h"

namespace qpop::mbox {

namespace {

constexpr std::array<std::string_view, 4> kHashed{"Received:", "Date:", "Message-Id:", "Subject:"};
// With its LF the original wanted 12 to 33 characters.
constexpr std::size_t kLeast = 11;
constexpr std::size_t kMost = 32;

unsigned hex_value(char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); }

std::array<std::uint8_t, 16> bytes_of(std::string_view hex) {
  std::array<std::uint8_t, 16> out{};
  for (std::size_t i = 0; i < out.size(); ++i) out.at(i) = static_cast<std::uint8_t>(hex_value(hex[2 * i]) << 4U | hex_value(hex[2 * i + 1]));
  return out;
}

/// A line as the original's reader gave it: LF at its end, no NUL.
void append_line(std::string& out, std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  for (const char c : line) out += c == '\0' ? ' ' : c;
  out += '\n';
}

}  // namespace

std::string base80(const std::array<std::uint8_t, 16>& digest) {
  constexpr unsigned kBase = 80;
  constexpr int kDigits = 5;
  std::string out;
  for (std::size_t group = 0; group < digest.size(); group += 4) {
    unsigned number = 0;
    for (std::size_t i = group; i < group + 4; ++i) number = (number << 4U) + digest.at(i);
    for (int digit = 0; digit < kDigits; ++digit, number /= kBase) {
      const char c = static_cast<char>('!' + static_cast<int>(number % kBase));
      out += c == '.' ? '~' : c;
    }
  }
  return out;
}

std::string qpopper_unique_id(UniqueIdForm form, std::string_view postmark, std::string_view header) {
  std::string hashed;
  append_line(hashed, postmark);
  HeaderFields fields{header};
  while (const auto field = fields.next()) {
    const auto begins = [&](std::string_view name) { return base::starts_with_ignoring_case(field->first_line, name); };
    if (std::ranges::any_of(kHashed, begins)) append_line(hashed, field->first_line);
  }
  if (form == UniqueIdForm::base80) append_line(hashed, postmark);
  const auto hex = digest::md5_hex(hashed, "");
  return form == UniqueIdForm::hex ? hex : base80(bytes_of(hex));
}

std::optional<std::string> stored_unique_id(std::string_view header) {
  const auto field = find_field(header, "X-UIDL");
  if (!field || field->value.size() < kLeast || field->value.size() > kMost) return std::nullopt;
  if (!std::ranges::all_of(field->value, [](char c) { return c >= 0x21 && c <= 0x7E; })) return std::nullopt;
  return std::string{field->value};
}

}  // namespace qpop::mbox
