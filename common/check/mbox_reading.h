// SPDX-License-Identifier: MIT
// The tolerant reading of an mbox.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/check/postmark.h"
#include "common/check/reading_state.h"

namespace qpop::check {

class MboxReading {
 public:
  explicit MboxReading(ReadingState& state) : s_(state) {}
  /// Reads all; pos of the state stands at the first octet that is not an empty line.
  [[nodiscard]] base::Status run();

 private:
  /// The message that is being read.
  struct Open {
    bool any = false;
    std::uint64_t offset = 0;
    std::uint64_t line = 0;
    std::uint64_t body = 0;
    bool complete = false;  ///< its header ended
    bool damaged = false;   ///< where it ends, or what it holds, is not certain
    std::string boundary{};
    bool mime_open = false;
    std::uint64_t crlf_before = 0;  ///< lines with CR LF before its body
    std::optional<std::uint64_t> length{};
    std::uint64_t value_at = 0;
    std::size_t value_size = 0;
    std::optional<bool> lands{};  ///< does Content-Length lead to a boundary?
    std::uint64_t head_hash = 0;
  };
  /// A boundary that may be a line of a message whose MIME parts are open.
  struct Pending {
    std::uint64_t offset = 0;
    std::uint64_t line = 0;
    std::uint64_t message = 0;
    std::string excerpt{};
    bool header = false;
    bool text = false;
  };
  struct Length {
    std::uint64_t value_at = 0;
    std::size_t value_size = 0;
    std::uint64_t announced = 0;
    std::uint64_t actual = 0;
    std::uint64_t message = 0;
    std::uint64_t line = 0;
    bool certain = false;
  };
  struct Unit {
    std::uint64_t hash = 0;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };

  // The start (mbox_start.cc).
  base::Status lead();
  base::Result<bool> leading_nuls();
  void judge_start(std::uint64_t at, bool behind_nuls);

  // Events (mbox_reading.cc).
  base::Status event();
  void from_word();
  void valid_from(std::uint64_t at, std::uint64_t line_start);
  void separate(std::uint64_t at, std::uint64_t line_start, const HeaderFacts& header);
  void boundary(std::uint64_t at);
  void time_of_day();
  void delimiter();
  void separator_line();
  base::Status nuls();
  bool lost_postmark(std::uint64_t from, std::uint64_t behind);

  // From_ lines that are none (mbox_judge.cc).
  bool damaged_from(std::uint64_t at, bool empty_before);
  void replace_line(std::uint64_t at, const PostmarkGuess& guess, const HeaderFacts& header, bool empty_before);
  void split_field(std::uint64_t at, const PostmarkGuess& guess, bool empty_before);
  [[nodiscard]] std::string made_line(const PostmarkGuess* guess, const HeaderFacts& header) const;

  // Messages (mbox_messages.cc).
  /// A message starts at `at`; its header at `header_at`.
  void open_message(std::uint64_t at, std::uint64_t header_at, const HeaderFacts& header);
  void close_message(std::uint64_t end, bool certain);
  void add_pending(std::uint64_t at, const HeaderFacts& header);
  void confirm_pending();
  void drop_pending();
  bool covered(std::uint64_t at);
  bool lands_at(std::uint64_t target);
  base::Status finish();
  void end_of_spool();
  void judge_lengths();
  base::Status find_duplicates();
  base::Result<bool> same_octets(const Unit& a, const Unit& b);

  ReadingState& s_;
  Open open_;
  std::vector<Pending> pending_;
  std::string pending_boundary_;
  std::vector<Length> wrong_;
  std::vector<Unit> units_;
  std::uint64_t end_ = 0;  ///< of the mail; before NUL octets at the end
  std::uint64_t nul_small_ = 0;
  std::uint64_t nul_at_ = 0;
  std::uint64_t nul_line_ = 0;
  bool mmdf_open_ = false;
  bool covers_ = false;
  std::uint64_t hole_end_ = 0;  ///< behind the last run of NUL
};

}  // namespace qpop::check
