// SPDX-License-Identifier: MIT
// Fields of a header.
#include "common/mbox/header_field.h"

#include <algorithm>

#include "common/base/text.h"

namespace qpop::mbox {

namespace {

std::size_t line_length(std::string_view text) {
  const auto end = text.find('\n');
  return end == std::string_view::npos ? text.size() : end + 1;
}

std::string_view without_line_end(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool holds(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace

std::optional<HeaderField> HeaderFields::next() {
  if (rest_.empty()) return std::nullopt;
  HeaderField field;
  field.first_line = rest_.substr(0, line_length(rest_));
  const auto text = without_line_end(field.first_line);
  if (text.empty()) {
    rest_ = {};
    return std::nullopt;
  }
  std::size_t size = field.first_line.size();
  while (size < rest_.size() && (rest_[size] == ' ' || rest_[size] == '\t')) size += line_length(rest_.substr(size));
  field.whole = rest_.substr(0, size);
  rest_.remove_prefix(size);
  if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    field.name = base::trim(text.substr(0, colon));
    field.value = base::trim(text.substr(colon + 1));
  }
  return field;
}

std::optional<HeaderField> find_field(std::string_view header, std::string_view name) {
  HeaderFields fields{header};
  while (auto field = fields.next()) {
    if (base::equal_ignoring_case(field->name, name)) return field;
  }
  return std::nullopt;
}

bool InternalSigns::enough() const {
  const auto by_subject = [&] {
    const auto text = subject_.value_or(std::string_view{});
    return holds(text, "DO NOT DELETE") || holds(text, "DON'T DELETE THIS MESSAGE") || holds(text, "FOLDER INTERNAL DATA");
  };
  const auto by_from = [&] { return holds(from_.value_or(std::string_view{}), "Mail System Internal Data"); };
  return imap_ ? by_from() || by_subject() : by_from() && by_subject();
}

bool is_folder_internal(std::string_view header) {
  InternalSigns signs;
  if (const auto subject = find_field(header, "Subject")) signs.take_subject(subject->value);
  if (find_field(header, "X-IMAP")) signs.take_imap();
  if (const auto from = find_field(header, "From")) signs.take_from(from->value);
  return signs.enough();
}

}  // namespace qpop::mbox
