// SPDX-License-Identifier: MIT
// Small text helpers on bytes.
#include "common/base/text.h"

#include <algorithm>
#include <charconv>

namespace qpop::base {

namespace {

constexpr std::string_view kHex = "0123456789abcdef";

/// Length of the UTF-8 sequence that starts at `at`, 0 when it is not one (RFC 3629 section 4).
std::size_t utf8_length(std::string_view bytes, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4U : first >= 0xE0 ? 3U : 2U;
  if (first < 0xC2 || first > 0xF4 || at + length > bytes.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0U) != 0x80U) return 0;
  }
  const unsigned char second = byte(at + 1);
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F)) return 0;
  if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) return 0;
  return length;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return to_lower(x) == to_lower(y); });
}

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && equal_ignoring_case(text.substr(0, prefix.size()), prefix);
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    if (!word.empty()) out.push_back(word);
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  return out;
}

bool is_host_name(std::string_view name) {
  constexpr std::size_t kMost = 255;
  return !name.empty() && name.size() <= kMost &&
         std::ranges::all_of(name, [](char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '.'; });
}

std::optional<std::uint64_t> parse_decimal(std::string_view digits) {
  if (digits.empty() || !is_digit(digits.front())) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

namespace {

/// Octets that `keep` names stay, others become \xHH; at most `limit` octets.
template <class Keep>
std::string escape(std::string_view bytes, std::size_t limit, Keep keep) {
  std::string text;
  for (const char c : bytes) {
    if (text.size() + 4 > limit) return text + "...";
    if (keep(c)) {
      text += c;
      continue;
    }
    const auto value = static_cast<unsigned char>(c);
    text += "\\x";
    text += kHex[value >> 4U];
    text += kHex[value & 0xFU];
  }
  return text;
}

}  // namespace

std::string escape_untrusted(std::string_view bytes, std::size_t limit) {
  return escape(bytes, limit, [](char c) { return c >= 0x20 && c < 0x7F && c != '\\'; });
}

std::string escape_word(std::string_view bytes, std::size_t limit) {
  if (bytes.empty()) return "-";
  return escape(bytes, limit, [](char c) { return is_alpha(c) || is_digit(c) || std::string_view{"._@+-"}.find(c) != std::string_view::npos; });
}

bool is_printable_utf8(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    const auto value = static_cast<unsigned char>(bytes[i]);
    if (value < 0x20 || value == 0x7F) return false;
    const std::size_t length = utf8_length(bytes, i);
    if (length == 0) return false;
    // U+0080 to U+009F are control characters too; a terminal obeys them.
    if (value == 0xC2 && static_cast<unsigned char>(bytes[i + 1]) < 0xA0) return false;
    i += length;
  }
  return true;
}

bool is_utf8(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t length = utf8_length(bytes, i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

std::string json_string(std::string_view bytes) {
  std::string out = "\"";
  const auto escape = [&](unsigned char value) { out.append("\\u00").append(to_hex({reinterpret_cast<const char*>(&value), 1})); };
  for (std::size_t i = 0; i < bytes.size();) {
    const auto value = static_cast<unsigned char>(bytes[i]);
    const std::size_t length = utf8_length(bytes, i);
    if (length == 0) {
      out += "\\ufffd";
    } else if (value == 0xC2 && static_cast<unsigned char>(bytes[i + 1]) < 0xA0) {
      escape(static_cast<unsigned char>(bytes[i + 1]));  // U+0080 to U+009F: a terminal obeys them
    } else if (value < 0x20 || value == 0x7F) {
      escape(value);
    } else {
      if (value == '"' || value == '\\') out += '\\';
      out += bytes.substr(i, length);
    }
    i += std::max<std::size_t>(length, 1);
  }
  return out + '"';
}

std::string to_hex(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto value = static_cast<unsigned char>(c);
    text += kHex[value >> 4U];
    text += kHex[value & 0xFU];
  }
  return text;
}

std::string path_in(std::string_view folder, std::string_view name) {
  std::string path{folder};
  if (!folder.ends_with('/')) path += '/';
  return path.append(name);
}

std::string_view without_end_slashes(std::string_view folder) {
  while (folder.size() > 1 && folder.ends_with('/')) folder.remove_suffix(1);
  return folder;
}

}  // namespace qpop::base
