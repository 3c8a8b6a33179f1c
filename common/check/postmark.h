// SPDX-License-Identifier: MIT
// A tolerant reading of lines that should be From_ lines, and how a valid one is made.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/check/header.h"

namespace qpop::check {

struct PostmarkGuess {
  bool from = false;          ///< begins with "From ", exactly
  unsigned score = 0;         ///< weekday, month with day, time and year that can be read
  bool only_start = false;    ///< all but the letters of "From " is valid
  std::string flaw{};         ///< what is wrong, in words
  std::string_view sender{};
  Date date{};                ///< as far as it can be read
  std::size_t field_at = 0;   ///< > 0: the first header field stands in the same line, from here on
};

/// `line` without its end; any bytes.
[[nodiscard]] PostmarkGuess guess_postmark(std::string_view line);

/// A line with its LF from what is known: the guess first, then the header, then `fallback`.
[[nodiscard]] std::string make_postmark(const PostmarkGuess* guess, const HeaderFacts& header, const Date& fallback);

}  // namespace qpop::check
