// SPDX-License-Identifier: MIT
// Field by field, one pass, bounded memory.
#include "common/mbox/header_filter.h"

#include <algorithm>
#include <array>

#include "common/base/text.h"

namespace qpop::mbox {

namespace {

constexpr std::string_view kContentLength = "content-length:";
constexpr std::array<std::string_view, 8> kRewritten{
    "status:", "x-status:", "x-keywords:", "x-uid:", "x-uidl:", "x-imap:", "x-imapbase:", "lines:"};
constexpr std::string_view kStatus = "status:";
constexpr std::string_view kUniqueId = "x-uidl:";
constexpr std::size_t kLongestName = kContentLength.size();
constexpr std::size_t kLongestLength = 40;

bool may_be_rewritten(char first) {
  const char c = base::to_lower(first);
  return c == 's' || c == 'x' || c == 'c' || c == 'l';
}

}  // namespace

void HeaderFilter::reset() {
  kept_.clear();
  name_.clear();
  length_.clear();
  lengths_ = 0;
  is_read_ = false;
  has_unique_id_ = false;
  line_ = Line::start;
  before_ = Line::keep;
  cr_ = false;
}

void HeaderFilter::add(std::string_view bytes) {
  while (!bytes.empty()) {
    if (line_ == Line::start) {
      const char first = bytes.front();
      if (first == ' ' || first == '\t') {
        line_ = before_ == Line::keep ? Line::keep : Line::drop;
      } else {
        line_ = may_be_rewritten(first) ? Line::name : Line::keep;
        before_ = line_;
      }
    }
    bytes = line_ == Line::name ? take_name(bytes) : take_rest(bytes);
  }
}

/// Collects until the field name is decided by its colon, by the end of the line or by its length.
std::string_view HeaderFilter::take_name(std::string_view bytes) {
  const auto window = bytes.substr(0, kLongestName - name_.size());
  const auto stop = window.find_first_of(":\n");
  const bool line_ends = stop != std::string_view::npos && window[stop] == '\n';
  const auto piece = window.substr(0, stop == std::string_view::npos || line_ends ? stop : stop + 1);
  name_ += piece;
  if (stop != std::string_view::npos || name_.size() == kLongestName) decide();
  return bytes.substr(piece.size());
}

void HeaderFilter::decide() {
  const auto matches = [&](std::string_view field) { return base::equal_ignoring_case(name_, field); };
  if (matches(kContentLength)) {
    line_ = Line::drop_length;
    ++lengths_;
  } else {
    line_ = matches(kStatus) ? Line::drop_status : std::ranges::any_of(kRewritten, matches) ? Line::drop : Line::keep;
    has_unique_id_ = has_unique_id_ || matches(kUniqueId);
  }
  before_ = line_;
  if (line_ == Line::keep) keep(name_);
  name_.clear();
}

std::string_view HeaderFilter::take_rest(std::string_view bytes) {
  const auto end = bytes.find('\n');
  const auto piece = bytes.substr(0, end == std::string_view::npos ? bytes.size() : end + 1);
  if (line_ == Line::keep) keep(piece);
  if (line_ == Line::drop_length && lengths_ == 1 && length_.size() < kLongestLength) {
    length_ += piece.substr(0, kLongestLength - length_.size());
  }
  if (line_ == Line::drop_status && piece.find('R') != std::string_view::npos) is_read_ = true;
  if (end != std::string_view::npos) line_ = Line::start;
  return bytes.substr(piece.size());
}

void HeaderFilter::keep(std::string_view bytes) {
  if (bytes.empty() || kept_.size() >= kMaxIdentifying) return;
  if (cr_ && bytes.front() != '\n') kept_ += '\r';
  cr_ = false;
  const bool line_end = bytes.back() == '\n';
  if (line_end) bytes.remove_suffix(1);
  if (bytes.ends_with('\r')) {
    bytes.remove_suffix(1);
    cr_ = !line_end;
  }
  kept_ += bytes;
  if (line_end) kept_ += '\n';
  if (kept_.size() > kMaxIdentifying) kept_.resize(kMaxIdentifying);
}

void HeaderFilter::finish() {
  // A lone CR is what an empty CRLF line leaves when its LF stands in the next piece.
  if (line_ == Line::keep && cr_ && (kept_.empty() || kept_.back() == '\n')) return;
  if (line_ == Line::name) decide();
  if (line_ == Line::keep) keep("\n");
}

std::optional<std::uint64_t> HeaderFilter::content_length() const {
  if (lengths_ != 1 || length_.size() >= kLongestLength) return std::nullopt;
  auto text = base::trim(std::string_view{length_}.substr(0, length_.find('\n')));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return base::parse_decimal(base::trim(text));
}

}  // namespace qpop::mbox
