// SPDX-License-Identifier: MIT
// One message of a SASL exchange: base64 on the wire, octets here, wiped afterwards; and the syntax of the simple mechanisms.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "common/base/result.h"

namespace qpop::sasl {

/// Longest base64 line taken from a client, without CRLF. RFC 5034 section 4 wants room for the longest message that a mechanism of ours
/// can have, whatever the limit of command lines: that is PLAIN with three fields of 255 octets, or the last message of SCRAM with
/// channel binding, both below 1500.
inline constexpr std::size_t kMaxLine = 4096;

/// Names and passwords are at most this long everywhere.
inline constexpr std::size_t kMaxField = 255;

class Message {
 public:
  Message() = default;
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  ~Message() { clear(); }

  /// False, and empty, when `text` is no canonical base64 or longer than kMaxLine.
  bool decode(std::string_view text);
  void clear();
  [[nodiscard]] std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  std::array<char, kMaxLine / 4 * 3> bytes_{};
  std::size_t size_ = 0;
};

/// Views into the message.
struct Plain {
  std::string_view authorization;  ///< "": same as `user`
  std::string_view user;
  std::string_view password;
};

/// authzid NUL authcid NUL passwd.
/// Errors  malformed: not two NUL, no user, no password, a field too long, or a name that is not printable UTF-8.
/// Source  RFC 4616 section 2
[[nodiscard]] base::Result<Plain> parse_plain(std::string_view message);

struct CramMd5 {
  std::string_view user;
  std::string_view digest;  ///< any octets; 32 hexadecimal digits when the client is sane
};

/// user SPACE digest; the user may hold blanks.
/// Errors  malformed.
/// Source  RFC 2195 section 2
[[nodiscard]] base::Result<CramMd5> parse_cram_md5(std::string_view message);

/// A name that can be shown: 1 to kMaxField octets of UTF-8 without control characters, so that it can neither end a line of an
/// answer nor of a log.
[[nodiscard]] bool is_name(std::string_view text);

}  // namespace qpop::sasl
