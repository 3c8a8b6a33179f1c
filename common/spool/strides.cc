// SPDX-License-Identifier: MIT
#include "common/spool/strides.h"

#include <algorithm>

namespace qpop::spool {

std::uint64_t total_length(std::span<const Range> ranges) {
  std::uint64_t sum = 0;
  for (const auto& range : ranges) sum += range.length;
  return sum;
}

std::optional<std::vector<Stride>> plan_strides(std::uint64_t first, std::span<const Range> sources, std::size_t most) {
  std::vector<Stride> strides;
  std::uint64_t left = total_length(sources);
  std::size_t source = 0;
  std::uint64_t skipped = 0;
  for (std::uint64_t to = first; left > 0;) {
    const std::uint64_t from = sources[source].offset + skipped;
    if (from <= to || strides.size() == most) return std::nullopt;
    const Stride stride{.to = to, .length = std::min(from - to, left), .source = source, .skipped = skipped};
    strides.push_back(stride);
    to += stride.length;
    left -= stride.length;
    skipped += stride.length;
    while (source < sources.size() && skipped >= sources[source].length) skipped -= sources[source++].length;
  }
  return strides;
}

base::Status for_each_part(std::span<const Range> sources, const Stride& stride,
                           const std::function<base::Status(Range)>& take) {
  std::uint64_t left = stride.length;
  std::uint64_t skipped = stride.skipped;
  for (std::size_t i = stride.source; left > 0 && i < sources.size(); ++i) {
    const std::uint64_t length = std::min(sources[i].length - skipped, left);
    if (auto taken = take({.offset = sources[i].offset + skipped, .length = length}); !taken) return taken;
    left -= length;
    skipped = 0;
  }
  return {};
}

}  // namespace qpop::spool
