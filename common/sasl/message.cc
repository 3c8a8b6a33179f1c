// SPDX-License-Identifier: MIT
// Decoding of messages; syntax of PLAIN and CRAM-MD5.
#include "common/sasl/message.h"

#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/digest/digest.h"

namespace qpop::sasl {

using base::Error;
using base::ErrorKind;

bool Message::decode(std::string_view text) {
  clear();
  if (text.size() > kMaxLine) return false;
  const auto size = digest::base64_decode_into(text, bytes_);
  if (!size) {
    clear();
    return false;
  }
  size_ = *size;
  return true;
}

void Message::clear() {
  base::wipe(bytes_.data(), bytes_.size());
  size_ = 0;
}

bool is_name(std::string_view text) { return !text.empty() && text.size() <= kMaxField && base::is_printable_utf8(text); }

base::Result<Plain> parse_plain(std::string_view message) {
  const auto first = message.find('\0');
  const auto second = first == std::string_view::npos ? first : message.find('\0', first + 1);
  if (second == std::string_view::npos) return Error{ErrorKind::malformed, "two NUL octets are missing"};
  Plain plain{message.substr(0, first), message.substr(first + 1, second - first - 1), message.substr(second + 1)};
  if (plain.password.find('\0') != std::string_view::npos) return Error{ErrorKind::malformed, "more than two NUL octets"};
  if (!is_name(plain.user) || (!plain.authorization.empty() && !is_name(plain.authorization))) {
    return Error{ErrorKind::malformed, "a name is empty, too long or not printable UTF-8"};
  }
  if (plain.password.empty() || plain.password.size() > kMaxField) return Error{ErrorKind::malformed, "no password, or one too long"};
  return plain;
}

base::Result<CramMd5> parse_cram_md5(std::string_view message) {
  const auto blank = message.rfind(' ');
  if (blank == std::string_view::npos) return Error{ErrorKind::malformed, "the blank before the digest is missing"};
  CramMd5 response{message.substr(0, blank), message.substr(blank + 1)};
  if (!is_name(response.user)) return Error{ErrorKind::malformed, "the name is empty, too long or not printable UTF-8"};
  return response;
}

}  // namespace qpop::sasl
