// SPDX-License-Identifier: MIT
// Parts of a file that were never written: they read as NUL octets and hold nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace qpop::popcheck {

/// As many octets are read as any others, and proven; a file of a few kilobytes may claim terabytes, and those are not.
inline constexpr std::uint64_t kMostHoles = 1UL << 30;

/// The largest hole of those that were met.
struct Hole {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool to_the_end = false;
};

/// Nothing: the holes of the file make up no more than `most` octets, or its file system tells of none.
[[nodiscard]] std::optional<Hole> too_many_holes(int fd, std::uint64_t most = kMostHoles);

/// Where it lies, and what cuts it out of the file `path`.
[[nodiscard]] std::string describe(const Hole& hole, const std::string& path);

}  // namespace qpop::popcheck
