// SPDX-License-Identifier: MIT
// What the header of a message says that helps to judge the line before it, and to make that line anew.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qpop::check {

struct Date {
  unsigned year = 0;   ///< 0: not known
  unsigned month = 0;  ///< 1..12; 0: not known
  unsigned day = 0;    ///< 0: not known
  std::string time{};  ///< "hh:mm:ss"; empty: not known
  [[nodiscard]] bool complete() const { return year != 0 && month != 0 && day != 0 && !time.empty(); }
};

/// "hh:mm:ss" of a text that begins with it or with "hh:mm"; empty: neither.
[[nodiscard]] std::string leading_time(std::string_view text);
/// "dd Mmm yyyy hh:mm[:ss]" anywhere in a field value.
[[nodiscard]] Date find_date(std::string_view value);
/// As a From_ line has it: "Www Mmm dd hh:mm:ss yyyy".
[[nodiscard]] std::string postmark_date(const Date& date);
/// 1..12 by its English name of three letters; 0: none.
[[nodiscard]] unsigned month_of(std::string_view name);

struct HeaderFacts {
  unsigned fields = 0;     ///< lines of the form "name:"
  unsigned known = 0;      ///< of them with a name that mail has
  bool begins = false;     ///< the first line is a field
  bool transport = false;  ///< Received, Return-Path, Delivered-To or Message-Id is among them
  bool complete = false;   ///< the empty line that ends it was seen
  bool odd = false;        ///< a line is none of a header
  bool nul = false;
  bool internal_data = false;
  std::size_t length = 0;  ///< octets, the empty line included
  std::uint64_t lines = 0;
  std::optional<std::uint64_t> content_length{};  ///< when there is exactly one, a number
  std::size_t value_at = 0;    ///< of its digits
  std::size_t value_size = 0;
  std::string_view boundary{};   ///< of a multipart
  std::string_view return_path{};
  std::string_view from{};
  std::string_view received{};  ///< of the topmost field, what stands behind its last semicolon
  std::string_view date{};

  /// Is this the header of a message, and not a text with a colon?
  [[nodiscard]] bool strong() const { return begins && known >= 2; }
  [[nodiscard]] bool certain() const { return begins && known >= 2 && transport; }
};

/// Reads the header that `text` begins with; views point into it. A line that is none of a header ends it.
/// `at_end`: nothing follows `text`.
[[nodiscard]] HeaderFacts read_header(std::string_view text, bool at_end);

/// Does `line` begin with a field name and a colon?
[[nodiscard]] bool is_field(std::string_view line);

}  // namespace qpop::check
