// SPDX-License-Identifier: MIT
// Command lines of POP3: cutting the byte stream into lines, naming the command, reading its arguments.
//
// Source: RFC 1939 section 3 (keywords, CRLF), RFC 2449 section 4 (at most 255 octets with CRLF), RFC 6856 (UTF-8 in arguments).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qpop::pop3 {

/// RFC 2449 section 4: "the maximum length of a command line ... is 255 octets, including the terminating CRLF".
inline constexpr std::size_t kMaxCommandLine = 255;
/// RFC 5034 section 4: lines of a SASL exchange are not bound by it, but by what the mechanisms need.
inline constexpr std::size_t kMaxResponseLine = 4096;
/// Octets of one over-long line after which the connection is given up.
inline constexpr std::size_t kMaxExcess = 1024UL * 1024;

/// Cuts incoming bytes into lines. Over-long lines are consumed to their end and reported once.
class LineReader {
 public:
  enum class Event : std::uint8_t {
    need_more,    ///< no complete line yet
    line,         ///< line() is a command line without its CRLF or bare LF
    too_long,     ///< an over-long line has ended
    hopeless,     ///< an over-long line that does not end
  };
  struct Step {
    Event event;
    std::size_t consumed;  ///< octets of the input that were used
  };
  /// Takes bytes up to and including the first line end.
  Step feed(std::string_view bytes);
  /// Longest line, CRLF included; at most kMaxResponseLine. Counts from the next line on, and for one of which no octet was seen.
  void set_limit(std::size_t octets) { limit_ = octets; }
  /// Valid until the next feed(); may hold any byte but LF.
  [[nodiscard]] std::string_view line() const { return {buffer_.data(), size_}; }
  /// Overwrites what is buffered; lines carry passwords.
  void wipe();

 private:
  void append(std::string_view part);
  // +2: a line of exactly the longest size with its CRLF, and one octet more to know that it is too long.
  std::array<char, kMaxResponseLine + 2> buffer_{};
  std::size_t size_ = 0;
  std::size_t limit_ = kMaxCommandLine;
  std::size_t excess_ = 0;
  bool finished_ = true;
};

enum class Verb : std::uint8_t {
  apop, auth, capa, dele, last, list, noop, pass, quit, retr, rset, stat, stls, top, uidl, user,
  euidl, mdef, xtnd,  ///< extensions of the original
  http,     ///< a verb of HTTP: another protocol was talked into talking to us
  unknown,
};

struct Command {
  Verb verb = Verb::unknown;
  /// Everything behind the one blank after the keyword, untouched (PASS may hold blanks, RFC 1939 section 7).
  std::string_view argument;
  /// Words of `argument`, at most 4.
  std::array<std::string_view, 4> words;
  std::size_t word_count = 0;
  bool has_nul = false;
  bool bad_utf8 = false;  ///< 8-bit octets that are no UTF-8, or control characters
};

/// Views into `line`. Keywords are compared without case.
[[nodiscard]] Command parse_command(std::string_view line);

/// What a message-number argument turned out to be.
struct Number {
  enum class Kind : std::uint8_t { ok, not_a_number, too_large } kind;
  std::uint32_t value = 0;
};
[[nodiscard]] Number parse_number(std::string_view word);

}  // namespace qpop::pop3
