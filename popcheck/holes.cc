// SPDX-License-Identifier: MIT
// Runs as: the owner of the mail.
#include "popcheck/holes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/text.h"

namespace qpop::popcheck {

std::optional<Hole> too_many_holes(int fd, std::uint64_t most) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || static_cast<std::uint64_t>(status.st_size) <= most) return std::nullopt;
  Hole largest;
  std::uint64_t all = 0;
  for (off_t at = 0; all <= most;) {
    const off_t hole = ::lseek(fd, at, SEEK_HOLE);
    if (hole < 0 || hole >= status.st_size) return std::nullopt;
    // Fails behind the last octet that was written.
    const off_t data = ::lseek(fd, hole, SEEK_DATA);
    const bool to_the_end = data < 0 || data >= status.st_size;
    at = to_the_end ? status.st_size : data;
    const auto length = static_cast<std::uint64_t>(at - hole);
    all += length;
    if (length > largest.length) largest = {.offset = static_cast<std::uint64_t>(hole), .length = length, .to_the_end = to_the_end};
  }
  return largest;
}

std::string describe(const Hole& hole, const std::string& path) {
  const auto name = base::escape_untrusted(path, 160);
  if (hole.to_the_end) return fmt::format("from octet {} on there is nothing: truncate -s {} {}", hole.offset, hole.offset, name);
  return fmt::format("there is nothing from octet {} to {}: fallocate -c -o {} -l {} {}", hole.offset, hole.offset + hole.length, hole.offset, hole.length, name);
}

}  // namespace qpop::popcheck
