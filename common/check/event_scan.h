// SPDX-License-Identifier: MIT
// The inner loop of the tolerant reading: runs over text in which nothing has to be looked at and counts its line ends.
//
// An event is an octet that a closer look starts from: NUL, 0x01, the F of "From ", the first colon of a time of day, and,
// when asked for, "--" at the start of a line. Its implementations are proven equal by tests/unit/check.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/mbox/block_scan.h"

namespace qpop::check {

struct LineCounts {
  std::uint64_t lf = 0;
  std::uint64_t cr = 0;
  std::uint64_t crlf = 0;
};

/// Index of the first event in [from, to), or `to`; counts what lies before it.
/// Precondition: one octet before `data + from` and 96 behind `data + to` can be read.
[[nodiscard]] std::size_t next_event(const char* data, std::size_t from, std::size_t to, bool delimiters, LineCounts& counts,
                                     mbox::Kernel kernel = mbox::Kernel::best);

/// Index of the first octet in [from, to) that is not NUL, or `to`.
[[nodiscard]] std::size_t end_of_nuls(const char* data, std::size_t from, std::size_t to);

}  // namespace qpop::check
