// SPDX-License-Identifier: MIT
// Finds the messages of an mbox or MMDF spool: bytes in, one listing::Record for each message out.
//
// Boundary of an mbox: start of file, or an empty line (LF or CRLF), followed by a postmark (from_line.h). MMDF (first
// octet 0x01): lines of four 0x01 in pairs. Lines of any length, NUL, 8-bit and CRLF spools are fine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/listing/listing.h"
#include "common/mbox/block_scan.h"
#include "common/mbox/unique_id.h"

namespace qpop::mbox {

/// Reads octets of the spool at an absolute offset, ahead of what was fed; fewer than asked for only at the end of the
/// file.
using Peek = std::function<base::Result<std::size_t>(std::uint64_t offset, std::span<char> out)>;

struct ScanStart {
  std::uint64_t offset = 0;  ///< where the first fed octet lies; above 0 it is known to be a boundary
  listing::SpoolFormat format = listing::SpoolFormat::empty;  ///< when known (offset above 0), else found out
  bool digests = true;  ///< false: Record::digest and head_hash stay empty, for readers that want boundaries alone
};

struct ScanResult {
  /// Everything is filled in but the unique-id (assign_unique_ids()).
  std::vector<listing::Record> records;
  listing::SpoolFormat format = listing::SpoolFormat::empty;
  std::uint64_t end = 0;  ///< offset behind the last octet that was fed
};

/// One pass over a spool. The result does not depend on how the input is cut.
///
/// Octets  as sent: LF without CR counts two, CRLF two, and a content without a line end at its end gets one.
/// Trailer an empty line at the end of a unit, unless it is the one that ends the header; in MMDF the closing
/// separator. Leading empty lines belong to no message: the first record starts behind them. Content-Length is a hint,
/// looked at only when a postmark stands inside the range it announces: when body start plus value is
///         exactly the end of the file or a boundary, directly or behind one empty line, the range holds no boundary.
///         That takes `peek`, at most one call and some 1100 octets a message; without peek, or when the value leads
///         elsewhere, it is ignored.
/// Errors  malformed (detail holds the offset): the first octet that is not an empty line starts neither a postmark nor
/// an MMDF
///         separator, or octets between two MMDF units; limit: more than 2^32-1 messages; what `peek` returned.
/// Memory  one record for each message and some 70 KiB.
class Scanner {
 public:
  explicit Scanner(ScanStart start = {}, Peek peek = {}, Kernel kernel = Kernel::best);

  /// About so many octets will come: room for the records of messages of some 2 KB each, so that they are not moved as they become more.
  void expect(std::uint64_t octets) { result_.records.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(octets / 2048, kMostRoom))); }
  /// The next octets. After an error the scanner is of no further use.
  [[nodiscard]] base::Status feed(std::string_view bytes);
  /// The end of the file.
  [[nodiscard]] base::Result<ScanResult> finish();
  /// Does a message begin at `offset`? Asked once its postmark was fed.
  [[nodiscard]] bool has_begun_at(std::uint64_t offset) const;
  /// The records of the messages that are complete; they are forgotten here. For readers that need no list: memory then
  /// does not grow with the number of messages.
  [[nodiscard]] std::vector<listing::Record> take();

 private:
  static constexpr std::uint64_t kMostRoom = 1'000'000;
  enum class State : std::uint8_t {
    lead,          ///< before the first separator
    gather,        ///< inside a line that may be a separator
    mmdf_opened,   ///< behind an opening separator: the next octet tells whether a postmark follows
    mmdf_between,  ///< behind a closing separator
    content,
  };
  enum class Line : std::uint8_t { first_postmark, postmark, mmdf_open, mmdf_postmark, mmdf_close };

  /// A place and how many LF without CR lie before it.
  struct Mark {
    std::uint64_t pos = 0;
    std::uint64_t bare_lf = 0;
    [[nodiscard]] std::uint64_t sent() const { return pos + bare_lf; }
  };

  base::Status step(std::size_t& at);
  base::Status lead(std::size_t& at);
  void start_gather(Line line, std::size_t at);
  base::Status gather(std::size_t& at);
  base::Status line_complete(std::size_t at);
  base::Status refuse_line(std::size_t at);
  base::Status accept_postmark(std::size_t at);
  void begin_unit(std::string_view postmark, Mark content);
  void content(std::size_t& at);
  void event(std::size_t& at, const Masks& masks, std::size_t size);
  void consume(std::size_t& at, const Masks& masks, std::size_t size);
  void end_header(std::size_t at);
  base::Status close_mbox_unit(Mark end, bool last_line_complete);
  base::Status close_unit(Mark content_end, std::uint64_t unit_end, bool last_line_complete);
  base::Result<bool> inside_announced_length();
  base::Result<bool> is_landing(std::uint64_t target);
  void sample(std::size_t to);
  void sample_bytes(std::string_view bytes);
  void add_to_head(std::string_view bytes);
  [[nodiscard]] std::uint64_t position(std::size_t at) const { return chunk_pos_ + at; }
  [[nodiscard]] base::Error malformed(std::uint64_t offset, std::string_view what) const;

  Peek peek_;
  Kernel kernel_;
  bool digests_;
  Separator separator_ = Separator::mbox;
  ScanResult result_;

  std::string_view chunk_;
  std::uint64_t chunk_pos_ = 0;
  std::size_t sampled_ = 0;  ///< index in chunk_ up to which the identity of the message was fed
  State state_ = State::lead;
  Carry carry_;
  std::uint64_t bare_lf_ = 0;
  std::uint64_t blank_end_ = 0;  ///< behind the last empty line
  std::uint8_t blank_size_ = 0;
  bool lead_cr_ = false;

  Line line_ = Line::first_postmark;
  std::string gathered_;
  Mark line_start_;

  bool open_ = false;  ///< a message is being read
  bool in_header_ = false;
  std::uint64_t unit_offset_ = 0;
  Mark content_start_;
  Mark body_start_;
  std::uint64_t no_boundary_before_ = 0;
  bool length_tried_ = false;
  std::string head_;
  Identity identity_;
};

}  // namespace qpop::mbox
