// SPDX-License-Identifier: MIT
// The scan of a spool.
//
// 1. Octets are counted as they are consumed (`bare_lf_` and the position), never twice: a Mark is both numbers at one
// place, and
//    lengths are differences of Marks.
// 2. In a message whole blocks are skipped until one holds an event: the empty line that ends a header, or the first
// octet of a
//    line that may be a separator (block_scan.h).
// 3. Such a line is gathered until its end is seen, over as many pieces as it takes, at most kMaxPostmark octets. Only
// then is
//    it known whether a new message begins; if not, the octets go to the message that is open.
// 4. What the identity of a message needs is fed from the chunk at the latest when the chunk ends (`sampled_`).
#include "common/mbox/scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

#include "common/mbox/from_line.h"

namespace qpop::mbox {

namespace {

using base::Error;
using base::ErrorKind;
using base::Status;
using listing::Record;
using listing::SpoolFormat;

constexpr char kMmdfOctet = '\x01';
constexpr std::string_view kMmdfSeparator = "\x01\x01\x01\x01";
/// A postmark with its CR and LF.
constexpr std::size_t kMaxGathered = kMaxPostmark + 2;

std::string_view without_line_end(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// `rest` is what the spool holds from some offset on, its end when `complete`: does a postmark line start there?
bool starts_with_postmark(std::string_view rest, bool complete) {
  const auto end = rest.find('\n');
  if (end == std::string_view::npos && !complete) return false;
  return is_from_line(rest.substr(0, end));
}

}  // namespace

Scanner::Scanner(ScanStart start, Peek peek, Kernel kernel)
    : peek_(std::move(peek)), kernel_(kernel), digests_(start.digests), chunk_pos_(start.offset) {
  result_.format = start.format;
  if (start.format == SpoolFormat::mmdf) {
    separator_ = Separator::mmdf;
    state_ = State::mmdf_between;
  }
}

Status Scanner::feed(std::string_view bytes) {
  chunk_ = bytes;
  sampled_ = 0;
  for (std::size_t at = 0; at < chunk_.size();) {
    if (auto done = step(at); !done) return done;
  }
  if (state_ == State::content) sample(chunk_.size());
  chunk_pos_ += chunk_.size();
  chunk_ = {};
  return {};
}

base::Result<ScanResult> Scanner::finish() {
  sampled_ = 0;
  if (state_ == State::lead && lead_cr_) return malformed(chunk_pos_ - 1, "neither a From_ line nor an MMDF separator");
  if (state_ == State::gather) {
    if (auto done = line_complete(0); !done) return done.error();
  }
  const Mark end{.pos = chunk_pos_, .bare_lf = bare_lf_};
  if (state_ == State::mmdf_opened) begin_unit({}, end);
  if (open_) {
    auto closed =
        separator_ == Separator::mbox ? close_mbox_unit(end, carry_.lf1) : close_unit(end, end.pos, carry_.lf1);
    if (!closed) return closed.error();
  }
  result_.end = chunk_pos_;
  return std::move(result_);
}

bool Scanner::has_begun_at(std::uint64_t offset) const {
  return (open_ && unit_offset_ == offset) || std::ranges::binary_search(result_.records, offset, {}, &Record::offset);
}

std::vector<Record> Scanner::take() { return std::exchange(result_.records, {}); }

Status Scanner::step(std::size_t& at) {
  switch (state_) {
    case State::lead:
      return lead(at);
    case State::gather:
      return gather(at);
    case State::mmdf_opened:
      if (chunk_[at] == 'F') {
        start_gather(Line::mmdf_postmark, at);
      } else {
        begin_unit({}, {.pos = position(at), .bare_lf = bare_lf_});
        sampled_ = at;
      }
      return {};
    case State::mmdf_between:
      if (chunk_[at] != kMmdfOctet) return malformed(position(at), "not an MMDF separator between two messages");
      start_gather(Line::mmdf_open, at);
      return {};
    case State::content:
      content(at);
      return {};
  }
  return {};
}

Status Scanner::lead(std::size_t& at) {
  const char c = chunk_[at];
  if (lead_cr_ && c != '\n') return malformed(position(at) - 1, "neither a From_ line nor an MMDF separator");
  if (c == '\n' || c == '\r') {
    lead_cr_ = c == '\r';
    ++at;
    return {};
  }
  if (c == kMmdfOctet && result_.format != SpoolFormat::mbox) {
    separator_ = Separator::mmdf;
    result_.format = SpoolFormat::mmdf;
    start_gather(Line::mmdf_open, at);
    return {};
  }
  if (c != 'F') return malformed(position(at), "neither a From_ line nor an MMDF separator");
  start_gather(Line::first_postmark, at);
  return {};
}

void Scanner::start_gather(Line line, std::size_t at) {
  line_ = line;
  gathered_.clear();
  line_start_ = {.pos = position(at), .bare_lf = bare_lf_};
  state_ = State::gather;
}

Status Scanner::gather(std::size_t& at) {
  const auto window = chunk_.substr(at, kMaxGathered - gathered_.size());
  const auto lf = window.find('\n');
  const auto piece = window.substr(0, lf == std::string_view::npos ? window.size() : lf + 1);
  gathered_ += piece;
  at += piece.size();
  const bool ended = gathered_.back() == '\n';
  if (ended && gathered_[gathered_.size() - 2] != '\r') ++bare_lf_;  // the first octet is never a LF
  carry_ = {.lf1 = ended, .cr1 = gathered_.back() == '\r'};
  if (ended || gathered_.size() == kMaxGathered) return line_complete(at);
  return {};
}

/// `gathered_` holds a whole line, or all that will be looked at of an endless one, or what stands at the end of the
/// file.
Status Scanner::line_complete(std::size_t at) {
  const auto text = without_line_end(gathered_);
  switch (line_) {
    case Line::first_postmark:
      if (!is_from_line(text)) return malformed(line_start_.pos, "neither a From_ line nor an MMDF separator");
      result_.format = SpoolFormat::mbox;
      return accept_postmark(at);
    case Line::postmark: {
      if (!is_from_line(text)) return refuse_line(at);
      auto inside = inside_announced_length();
      if (!inside) return inside.error();
      return *inside ? refuse_line(at) : accept_postmark(at);
    }
    case Line::mmdf_open:
      if (text != kMmdfSeparator) return malformed(line_start_.pos, "not an MMDF separator");
      unit_offset_ = line_start_.pos;
      head_ = gathered_;
      state_ = State::mmdf_opened;
      return {};
    case Line::mmdf_postmark: {
      const bool postmark = is_from_line(text);
      if (postmark) head_ += gathered_;
      begin_unit(postmark ? text : std::string_view{},
                 postmark ? Mark{.pos = position(at), .bare_lf = bare_lf_} : line_start_);
      if (!postmark) return refuse_line(at);
      sampled_ = at;
      return {};
    }
    case Line::mmdf_close:
      if (text != kMmdfSeparator) return refuse_line(at);
      head_ += gathered_;
      state_ = State::mmdf_between;
      return close_unit(line_start_, position(at), true);
  }
  return {};
}

/// The line is content after all.
Status Scanner::refuse_line(std::size_t at) {
  sample_bytes(gathered_);
  sampled_ = at;
  state_ = State::content;
  return {};
}

Status Scanner::accept_postmark(std::size_t at) {
  if (open_) {
    if (auto closed = close_mbox_unit(line_start_, true); !closed) return closed;
  }
  unit_offset_ = line_start_.pos;
  head_ = gathered_;
  begin_unit(without_line_end(gathered_), {.pos = position(at), .bare_lf = bare_lf_});
  sampled_ = at;
  return {};
}

/// Precondition: unit_offset_ and head_ are those of the new unit.
void Scanner::begin_unit(std::string_view postmark, Mark content) {
  identity_.begin(postmark);
  content_start_ = content;
  body_start_ = content;
  in_header_ = true;
  open_ = true;
  no_boundary_before_ = 0;
  length_tried_ = false;
  state_ = State::content;
}

void Scanner::content(std::size_t& at) {
  const char* data = chunk_.data() + at;
  if (const std::size_t blocks = (chunk_.size() - at) / kBlock; blocks > 0) {
    const auto skipped = skip_blocks(kernel_, separator_, in_header_, data, blocks, carry_);
    bare_lf_ += skipped.bare_lf;
    if (skipped.blank_size != 0) {
      blank_end_ = position(at) + skipped.blank_end;
      blank_size_ = skipped.blank_size;
    }
    at += skipped.blocks * kBlock;
    if (at == chunk_.size()) return;
  }
  const std::size_t size = std::min(kBlock, chunk_.size() - at);
  event(at, masks_of(kernel_, separator_, chunk_.data() + at, size, carry_), size);
}

/// Consumes up to the first event of a block and acts on it, or the whole block.
void Scanner::event(std::size_t& at, const Masks& masks, std::size_t size) {
  std::uint64_t candidates = masks.candidate;
  if (no_boundary_before_ > position(at)) {
    candidates &=
        ~low_bits(static_cast<std::size_t>(std::min<std::uint64_t>(no_boundary_before_ - position(at), kBlock)));
  }
  const std::uint64_t events = candidates | (in_header_ ? masks.blank : 0);
  if (events == 0) return consume(at, masks, size);
  const auto first = static_cast<std::size_t>(std::countr_zero(events));
  if ((candidates >> first & 1U) == 0) {
    consume(at, masks, first + 1);
    return end_header(at);
  }
  if (first > 0) consume(at, masks, first);
  sample(at);
  start_gather(separator_ == Separator::mbox ? Line::postmark : Line::mmdf_close, at);
}

void Scanner::consume(std::size_t& at, const Masks& masks, std::size_t size) {
  const std::uint64_t taken = low_bits(size);
  bare_lf_ += count_bits(masks.lf & ~masks.crlf & taken);
  if (const std::uint64_t blank = masks.blank & taken; blank != 0) {
    const auto last = static_cast<std::size_t>(63 - std::countl_zero(blank));
    blank_end_ = position(at) + last + 1;
    blank_size_ = (masks.crlf >> last & 1U) != 0 ? 2 : 1;
  }
  carry_ = carry_behind(masks, size, carry_);
  at += size;
}

/// Precondition: the empty line behind the header was consumed just now.
void Scanner::end_header(std::size_t at) {
  const std::size_t blank = at >= blank_size_ ? at - blank_size_ : 0;
  sample(std::max(blank, sampled_));
  add_to_head(chunk_.substr(sampled_, at - sampled_));
  sampled_ = at;
  identity_.end_header();
  in_header_ = false;
  body_start_ = {.pos = position(at), .bare_lf = bare_lf_};
}

Status Scanner::close_mbox_unit(Mark end, bool last_line_complete) {
  Mark content_end = end;
  const bool header_ends_here = in_header_ || body_start_.pos == end.pos;
  if (blank_end_ == end.pos && !header_ends_here) {
    content_end.pos -= blank_size_;
    content_end.bare_lf -= blank_size_ == 1 ? 1 : 0;
  }
  return close_unit(content_end, end.pos, last_line_complete);
}

Status Scanner::close_unit(Mark content_end, std::uint64_t unit_end, bool last_line_complete) {
  if (result_.records.size() == std::numeric_limits<std::uint32_t>::max()) {
    return Error{ErrorKind::limit, "more messages than a message-number can count"};
  }
  const std::uint64_t length = content_end.pos - content_start_.pos;
  const std::uint64_t line_end = length > 0 && !last_line_complete ? 2 : 0;
  if (in_header_) {
    identity_.end_header();
    body_start_ = content_end;
  }
  const std::uint64_t body = in_header_ ? 0 : content_end.sent() - body_start_.sent() + line_end;
  const std::uint64_t unit = unit_end - unit_offset_;
  const bool blank_line = separator_ == Separator::mbox && content_end.pos != unit_end;
  Record record;
  record.offset = unit_offset_;
  record.octets = content_end.sent() - content_start_.sent() + line_end;
  if (digests_) {
    record.head_hash =
        digest::xxh3_64(std::string_view{head_}.substr(0, std::min<std::uint64_t>(listing::kHeadSpan, unit)));
    record.digest = identity_.finish(body, blank_line);
    record.flags = identity_.flags();
  }
  record.content_start = static_cast<std::uint32_t>(content_start_.pos - unit_offset_);
  record.header_length = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(body_start_.pos - content_start_.pos, std::numeric_limits<std::uint32_t>::max()));
  record.trailer = static_cast<std::uint8_t>(unit_end - content_end.pos);
  result_.records.push_back(record);
  open_ = false;
  in_header_ = false;
  return {};
}

/// A postmark was found at line_start_: does it stand inside the octets that Content-Length announced, credibly?
base::Result<bool> Scanner::inside_announced_length() {
  if (length_tried_ || !peek_) return false;
  const auto announced = identity_.content_length();
  if (!announced || *announced > std::numeric_limits<std::int64_t>::max() - body_start_.pos) return false;
  const std::uint64_t target = body_start_.pos + *announced;
  if (line_start_.pos >= target) return false;
  length_tried_ = true;
  auto landing = is_landing(target);
  if (landing && *landing) no_boundary_before_ = target;
  return landing;
}

base::Result<bool> Scanner::is_landing(std::uint64_t target) {
  constexpr std::size_t kBefore = 3;  // "\n\r\n"
  std::array<char, kBefore + 2 + kMaxGathered> buffer{};
  auto got = peek_(target - kBefore, buffer);
  if (!got) return got.error();
  const std::string_view seen{buffer.data(), std::min(*got, buffer.size())};
  const bool complete = seen.size() < buffer.size();
  if (seen.size() < kBefore) return false;
  const auto before = seen.substr(0, kBefore);
  const auto behind = seen.substr(kBefore);
  if (complete && behind.empty()) return true;
  if (before.ends_with("\n\n") || before == "\n\r\n") {
    if (starts_with_postmark(behind, complete)) return true;
  }
  const std::size_t blank = behind.starts_with("\n") ? 1U : behind.starts_with("\r\n") ? 2U : 0U;
  if (blank == 0 || !before.ends_with('\n')) return false;
  const auto rest = behind.substr(blank);
  return (complete && rest.empty()) || starts_with_postmark(rest, complete);
}

/// Feeds the octets of the open message up to index `to` of the chunk.
void Scanner::sample(std::size_t to) {
  sample_bytes(chunk_.substr(sampled_, to - sampled_));
  sampled_ = to;
}

void Scanner::sample_bytes(std::string_view bytes) {
  add_to_head(bytes);
  if (in_header_) {
    identity_.add_header(bytes);
  } else if (digests_ && identity_.body_wanted()) {
    identity_.add_body(bytes);
  }
}

void Scanner::add_to_head(std::string_view bytes) {
  if (head_.size() < listing::kHeadSpan) head_ += bytes.substr(0, listing::kHeadSpan - head_.size());
}

Error Scanner::malformed(std::uint64_t offset, std::string_view what) const {
  return Error{ErrorKind::malformed, fmt::format("octet {}: {}", offset, what)};
}

}  // namespace qpop::mbox
