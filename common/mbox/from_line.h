// SPDX-License-Identifier: MIT
// The postmark ("From " line) that starts a message of an mbox spool.
#pragma once

#include <cstddef>
#include <string_view>

#include "common/base/result.h"

namespace qpop::mbox {

/// Longer lines are never postmarks: Qpopper's read buffer, and a bound for what a scan has to remember.
inline constexpr std::size_t kMaxPostmark = 1023;

struct FromLine {
  std::string_view sender;  ///< envelope sender, free text, may be empty
  std::string_view date;    ///< from the weekday to the last field, without "remote from"
};

/// Recognises the postmark that separates two messages in a maildrop.
///
/// Input   one line without its LF, a CR at its end allowed; any bytes, NUL included.
/// Accepts "From ", sender (any text, also none), a blank or (as nmh writes it) a tab, `Www Mmm d hh:mm[:ss]`, then year, zone and year, or year and zone; a
/// zone is
///         a name of up to six letters (`MET DST` too) or +hhmm; then blanks or ` remote from host`.
/// Result  views into `line`; valid as long as the caller's buffer.
/// Errors  malformed: longer than kMaxPostmark, does not begin with "From ", or the date cannot be read or is out of
/// range. Note    "From " inside a message is quoted by most delivery agents, not all: call only for a line behind an
/// empty one. Source  RFC 4155 appendix A; Qpopper's accepted forms; the asctime variants seen in real spools.
[[nodiscard]] base::Result<FromLine> parse_from_line(std::string_view line);

/// The same without building an error: for scanners.
[[nodiscard]] bool is_from_line(std::string_view line);

}  // namespace qpop::mbox
