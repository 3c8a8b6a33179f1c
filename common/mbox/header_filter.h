// SPDX-License-Identifier: MIT
// The part of a header that names a message: everything but the fields that mail programs rewrite in place.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qpop::mbox {

/// Takes a header in pieces of any size and keeps its identifying part, CRLF as LF, at most kMaxIdentifying octets.
///
/// Left out, with their continuation lines: Status, X-Status, X-Keywords, X-UID, X-UIDL, X-IMAP, X-IMAPbase,
/// Content-Length, Lines.
class HeaderFilter {
 public:
  static constexpr std::size_t kMaxIdentifying = 64UL * 1024;

  void reset();
  /// Header octets as they lie in the spool, without the empty line that ends it.
  void add(std::string_view bytes);
  /// No more bytes will come; a missing last LF is put there.
  void finish();

  [[nodiscard]] std::string_view identifying() const { return kept_; }
  /// Value of the Content-Length field when there is exactly one and it is a decimal number.
  [[nodiscard]] std::optional<std::uint64_t> content_length() const;
  /// A Status: field says that a mail program has shown the message.
  [[nodiscard]] bool is_read() const { return is_read_; }
  [[nodiscard]] bool has_unique_id() const { return has_unique_id_; }

 private:
  enum class Line : std::uint8_t { start, name, keep, drop, drop_length, drop_status };

  std::string_view take_name(std::string_view bytes);
  std::string_view take_rest(std::string_view bytes);
  void decide();
  void keep(std::string_view bytes);

  std::string kept_;
  std::string name_;    ///< start of a line whose field name is not complete yet
  std::string length_;  ///< value of Content-Length
  unsigned lengths_ = 0;
  Line line_ = Line::start;
  Line before_ = Line::keep;  ///< what became of the field that a continuation line belongs to
  bool is_read_ = false;
  bool has_unique_id_ = false;
  bool cr_ = false;           ///< a CR that is kept when no LF follows
};

}  // namespace qpop::mbox
