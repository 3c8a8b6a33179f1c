// SPDX-License-Identifier: MIT
// The tolerant reading of an MMDF spool: separators in pairs, and what stands between them.
#pragma once

#include "common/check/reading_state.h"

namespace qpop::check {

class MmdfReading {
 public:
  explicit MmdfReading(ReadingState& state) : s_(state) {}
  [[nodiscard]] base::Status run();

 private:
  enum class Line : std::uint8_t { text, separator, damaged };

  [[nodiscard]] Line kind_at(std::uint64_t at) const;
  base::Status between();
  base::Status inside();
  void open(std::uint64_t at);
  void take_header();
  void replace(std::uint64_t at, std::uint64_t next);
  void postmark_inside();
  void end_of_spool();

  ReadingState& s_;
  bool inside_ = false;
  bool rescued_ = false;  ///< the open message had no separator in front
  std::uint64_t header_end_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace qpop::check
