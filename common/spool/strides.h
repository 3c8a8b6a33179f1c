// SPDX-License-Identifier: MIT
// Moving ranges of a file down in place: how far one may copy before the copies must be durable.
//
// A kept octet may be overwritten only when its copy is on the disk. A stride is the longest run of kept octets whose new
// place ends before the first octet that was not copied yet: within a stride nothing is overwritten that a crash could
// still need. The first stride is as long as the first gap, later ones grow with every gap that is passed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "common/base/result.h"

namespace qpop::spool {

/// Octets of a file.
struct Range {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  friend bool operator==(const Range&, const Range&) = default;
};

/// A run of the kept octets, which may begin and end inside of a source.
struct Stride {
  std::uint64_t to = 0;      ///< its place in the file after the update
  std::uint64_t length = 0;
  std::size_t source = 0;    ///< index of the source it begins in
  std::uint64_t skipped = 0; ///< octets of that source which belong to earlier strides
};

/// Strides that bring `sources` (ascending, not empty, all behind `first`) down to `first`. Empty: more than `most`.
[[nodiscard]] std::optional<std::vector<Stride>> plan_strides(std::uint64_t first, std::span<const Range> sources,
                                                              std::size_t most);

/// The parts of the sources that a stride consists of, in order.
[[nodiscard]] base::Status for_each_part(std::span<const Range> sources, const Stride& stride,
                                         const std::function<base::Status(Range)>& take);

[[nodiscard]] std::uint64_t total_length(std::span<const Range> ranges);

}  // namespace qpop::spool
