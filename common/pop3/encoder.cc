// SPDX-License-Identifier: MIT
// Body of a multi-line response.
#include "common/pop3/encoder.h"

#include <algorithm>
#include <cstring>

namespace qpop::pop3 {

char* MessageEncoder::encode_lines(std::string_view in, char* out) {
  while (!in.empty()) {
    if (line_start_ && in.front() == '.') *out++ = '.';
    const void* found = std::memchr(in.data(), '\n', in.size());
    const std::size_t length = found == nullptr ? in.size() : static_cast<std::size_t>(static_cast<const char*>(found) - in.data());
    std::memcpy(out, in.data(), length);
    out += length;
    const bool ends_in_cr = length > 0 ? in[length - 1] == '\r' : after_cr_;
    if (found == nullptr) {
      line_start_ = false;
      after_cr_ = ends_in_cr;
      return out;
    }
    if (!ends_in_cr) *out++ = '\r';
    *out++ = '\n';
    line_start_ = true;
    after_cr_ = false;
    in.remove_prefix(length + 1);
  }
  return out;
}

/// The part of body bytes that holds no more than the lines still wanted.
std::string_view MessageEncoder::cut_to_lines(std::string_view in) {
  if (lines_left_ == kAllLines) return in;
  std::size_t end = 0;
  while (lines_left_ > 0 && end < in.size()) {
    const auto newline = in.find('\n', end);
    if (newline == std::string_view::npos) return in;
    end = newline + 1;
    --lines_left_;
  }
  return in.substr(0, end);
}

std::size_t MessageEncoder::encode(std::string_view in, char* out) {
  char* const start = out;
  const auto header = static_cast<std::size_t>(std::min<std::uint64_t>(header_left_, in.size()));
  header_left_ -= header;
  out = encode_lines(in.substr(0, header), out);
  out = encode_lines(cut_to_lines(in.substr(header)), out);
  return static_cast<std::size_t>(out - start);
}

std::size_t MessageEncoder::finish(char* out) const {
  std::size_t size = 0;
  if (!line_start_) {
    // A last CR without LF is content; the line end comes behind it, as the octet count of the scan has it.
    out[size++] = '\r';
    out[size++] = '\n';
  }
  for (const char octet : {'.', '\r', '\n'}) out[size++] = octet;
  return size;
}

}  // namespace qpop::pop3
