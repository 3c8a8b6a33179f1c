// SPDX-License-Identifier: MIT
// Small text helpers on bytes: no locale, no errno.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qpop::base {

[[nodiscard]] constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
[[nodiscard]] constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// ASCII case-insensitive equality.
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b);
[[nodiscard]] bool starts_with_ignoring_case(std::string_view text, std::string_view prefix);

/// Text without leading and trailing blanks and tabs.
[[nodiscard]] std::string_view trim(std::string_view text);

/// What stands between blanks; views into `text`, none of them empty.
[[nodiscard]] std::vector<std::string_view> words(std::string_view text);

/// Decimal digits only, no sign, no blank; empty when it is not a number or does not fit.
[[nodiscard]] std::optional<std::uint64_t> parse_decimal(std::string_view digits);

/// Printable ASCII stays, everything else and the backslash become \xHH; at most `limit` octets, "..." marks a cut.
[[nodiscard]] std::string escape_untrusted(std::string_view bytes, std::size_t limit = 200);

/// A user name in a log line: letters, digits and "._@+-" stay, everything else becomes \xHH, so that no name can look like the rest
/// of the line (SASL lets a name hold blanks and parentheses). "-" for none; at most `limit` octets, "..." marks a cut.
[[nodiscard]] std::string escape_word(std::string_view bytes, std::size_t limit = 80);

/// What may stand in a log line as the name of a host: letters, digits, "-" and ".", 1 to 255 octets.
[[nodiscard]] bool is_host_name(std::string_view name);

/// True for a correct UTF-8 sequence without control characters (below 0x20, 0x7F, U+0080 to U+009F).
[[nodiscard]] bool is_printable_utf8(std::string_view bytes);

/// "FOLDER/NAME", with one slash between them also when the folder ends in one.
[[nodiscard]] std::string path_in(std::string_view folder, std::string_view name);
/// A folder without the slashes at its end; "/" stays.
[[nodiscard]] std::string_view without_end_slashes(std::string_view folder);

/// Lower-case hexadecimal.
[[nodiscard]] std::string to_hex(std::string_view bytes);

/// True for correct UTF-8, control characters or not.
[[nodiscard]] bool is_utf8(std::string_view bytes);

/// A JSON string with its quotes. UTF-8 stays; control characters become \u00XX, each octet that is no UTF-8 \ufffd.
[[nodiscard]] std::string json_string(std::string_view bytes);

}  // namespace qpop::base
