// SPDX-License-Identifier: MIT
// Takes the fields of a header one by one.
// Source: RFC 5322 section 2.2 (fields, folding).
#pragma once

#include <optional>
#include <string_view>

namespace qpop::mbox {

struct HeaderField {
  std::string_view name;        ///< without its colon
  std::string_view value;       ///< of the first line, without blanks around it and line end
  std::string_view first_line;  ///< with its line end, if it has one
  std::string_view whole;       ///< with continuation lines
};

/// Views into `header`, which holds the fields as they lie in the spool, with or without the empty line that ends it. What is no field
/// (a line without colon) is given out with an empty name.
class HeaderFields {
 public:
  explicit HeaderFields(std::string_view header) : rest_(header) {}
  [[nodiscard]] std::optional<HeaderField> next();

 private:
  std::string_view rest_;
};

/// The first field of that name (ASCII case ignored).
[[nodiscard]] std::optional<HeaderField> find_field(std::string_view header, std::string_view name);

/// The message that mailers of Washington University keep at the beginning of a folder: two of three signs in subject, X-IMAP and
/// sender. Source: the original's UW-kludge.
///
/// Takes the values of fields as they come, of a name the first counts; the texts must live until enough() is asked. Nearly all
/// messages cost no more than a look at the sender.
class InternalSigns {
 public:
  void take_subject(std::string_view value) { take(subject_, value); }
  void take_imap() { imap_ = true; }
  void take_from(std::string_view value) { take(from_, value); }
  [[nodiscard]] bool enough() const;

 private:
  static void take(std::optional<std::string_view>& field, std::string_view value) {
    if (!field) field = value.substr(0, value.find('\n'));
  }
  std::optional<std::string_view> subject_;
  std::optional<std::string_view> from_;
  bool imap_ = false;
};

/// Of a whole header.
[[nodiscard]] bool is_folder_internal(std::string_view header);

}  // namespace qpop::mbox
