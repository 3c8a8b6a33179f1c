// SPDX-License-Identifier: MIT
// Turns on-disk content into the body of a multi-line response: LF to CRLF, byte-stuffing, optional cut after some body lines.
//
// A state machine over pieces of any size with the same result for every cut. CRLF stays CRLF, a bare CR stays as it is, a last
// line without line end gets one. Never more than twice the octets of its input (every LF doubled, every leading dot doubled).
// Source: RFC 1939 section 3 (byte-stuffing), section 7 (TOP).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace qpop::pop3 {

class MessageEncoder {
 public:
  static constexpr std::uint64_t kAllLines = std::numeric_limits<std::uint64_t>::max();

  /// `header_length`: on-disk octets of header and blank line, which are sent whatever `body_lines` says.
  explicit MessageEncoder(std::uint64_t header_length = 0, std::uint64_t body_lines = kAllLines)
      : header_left_(header_length), lines_left_(body_lines) {}

  /// Writes the form of `in` to `out`, which has room for 2 * in.size() octets. Returns octets written.
  std::size_t encode(std::string_view in, char* out);
  /// Room needed by finish().
  static constexpr std::size_t kFinishRoom = 5;
  /// Ends the last line if need be and writes the termination octet. Returns octets written.
  std::size_t finish(char* out) const;
  /// True once the wanted body lines are out; more input is ignored.
  [[nodiscard]] bool satisfied() const { return header_left_ == 0 && lines_left_ == 0; }

 private:
  char* encode_lines(std::string_view in, char* out);
  std::string_view cut_to_lines(std::string_view in);

  std::uint64_t header_left_;
  std::uint64_t lines_left_;
  bool line_start_ = true;
  bool after_cr_ = false;
};

}  // namespace qpop::pop3
