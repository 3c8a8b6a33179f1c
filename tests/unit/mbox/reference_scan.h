// SPDX-License-Identifier: MIT
// The scan once more, line by line over the whole spool in memory: slow, plain, and written apart from
// common/mbox/scanner.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/text.h"
#include "common/mbox/from_line.h"
#include "common/mbox/scanner.h"

namespace qpop::test {

struct ReferenceMessage {
  std::uint64_t offset, content, header_length, content_length, end, octets;
  friend bool operator==(const ReferenceMessage&, const ReferenceMessage&) = default;
};

class ReferenceScan {
 public:
  explicit ReferenceScan(std::string_view spool) : spool_(spool) {}

  /// Empty when the spool is malformed.
  std::optional<std::vector<ReferenceMessage>> run() {
    std::size_t at = 0;
    while (is_blank(at)) at = next(at);
    if (at == spool_.size()) return found_;
    const bool sound = spool_[at] == '\x01' ? mmdf(at) : mbox(at);
    return sound ? std::optional{found_} : std::nullopt;
  }

 private:
  std::size_t next(std::size_t at) const {
    const auto lf = spool_.find('\n', at);
    return lf == std::string_view::npos ? spool_.size() : lf + 1;
  }
  std::string_view line(std::size_t at) const {
    auto text = spool_.substr(at, next(at) - at);
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (text.ends_with('\r')) text.remove_suffix(1);
    return text;
  }
  bool is_blank(std::size_t at) const {
    const auto text = spool_.substr(at, next(at) - at);
    return text == "\n" || text == "\r\n";
  }
  bool is_postmark(std::size_t at) const { return at < spool_.size() && mbox::is_from_line(line(at)); }

  /// First line behind the header of a content at `at`.
  std::size_t body_of(std::size_t at, std::size_t end) const {
    for (; at < end; at = next(at)) {
      if (is_blank(at)) return next(at);
    }
    return end;
  }

  std::optional<std::uint64_t> announced(std::size_t at, std::size_t body) const {
    std::optional<std::uint64_t> value;
    unsigned fields = 0;
    for (; at < body; at = next(at)) {
      if (!base::starts_with_ignoring_case(line(at), "content-length:")) continue;
      ++fields;
      value = base::parse_decimal(base::trim(line(at).substr(15)));
    }
    return fields == 1 ? value : std::nullopt;
  }

  bool lands(std::size_t target) const {
    if (target == spool_.size()) return true;
    if (target > spool_.size()) return false;
    const auto before = spool_.substr(0, target);
    if ((before.ends_with("\n\n") || before.ends_with("\n\r\n")) && is_postmark(target)) return true;
    return before.ends_with('\n') && is_blank(target) && (next(target) == spool_.size() || is_postmark(next(target)));
  }

  void add(std::size_t offset, std::size_t content, std::size_t content_end, std::size_t end) {
    const auto bytes = spool_.substr(content, content_end - content);
    std::uint64_t octets = bytes.size();
    for (std::size_t i = 0; i < bytes.size(); ++i)
      octets += bytes[i] == '\n' && (i == 0 || bytes[i - 1] != '\r') ? 1U : 0U;
    if (!bytes.empty() && !bytes.ends_with('\n')) octets += 2;
    found_.push_back(
        {offset, content, std::min(body_of(content, content_end), content_end) - content, bytes.size(), end, octets});
  }

  bool mbox(std::size_t at) {
    if (!is_postmark(at)) return false;
    while (at < spool_.size()) {
      const std::size_t content = next(at);
      const std::size_t body = body_of(content, spool_.size());
      const auto length = announced(content, body);
      std::size_t end = content;
      std::size_t last_blank = std::string_view::npos;
      std::size_t no_boundary = 0;
      bool tried = false;
      for (; end < spool_.size(); end = next(end)) {
        if (last_blank != std::string_view::npos && next(last_blank) == end && is_postmark(end) && end >= no_boundary) {
          const bool inside = length && *length < spool_.size() && end < body + *length && !tried;
          if (!inside) break;
          tried = true;
          if (!lands(body + *length)) break;
          no_boundary = body + *length;
        }
        if (is_blank(end)) last_blank = end;
      }
      const bool trailer = last_blank != std::string_view::npos && next(last_blank) == end && end != body;
      add(at, content, trailer ? last_blank : end, end);
      at = end;
    }
    return true;
  }

  bool mmdf(std::size_t at) {
    while (at < spool_.size()) {
      if (line(at) != "\x01\x01\x01\x01") return false;
      std::size_t content = next(at);
      if (is_postmark(content)) content = next(content);
      std::size_t end = content;
      while (end < spool_.size() && line(end) != "\x01\x01\x01\x01") end = next(end);
      add(at, content, end, next(end));
      at = next(end);
    }
    return true;
  }

  std::string_view spool_;
  std::vector<ReferenceMessage> found_;
};

}  // namespace qpop::test
