// SPDX-License-Identifier: MIT
// Whole transfers over the seam: EINTR is retried, short reads and writes are completed.
#pragma once

#include <cerrno>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/files/file_system.h"

namespace qpop::files {

/// Octets that are read or written in one call.
inline constexpr std::size_t kChunk = 256UL * 1024;

/// Calls again while a signal interrupts.
template <class Call>
auto again(Call&& call) {
  auto result = call();
  while (!result && result.error().errno_value() == EINTR) result = call();
  return result;
}

/// Exactly `out.size()` octets. Errors: changed (the file ends before), io.
[[nodiscard]] base::Status read_exactly(FileSystem& fs, int fd, std::span<char> out, std::uint64_t offset);

/// As many octets as there are, up to `out.size()`.
[[nodiscard]] base::Result<std::size_t> read_up_to(FileSystem& fs, int fd, std::span<char> out, std::uint64_t offset);

[[nodiscard]] base::Status write_all(FileSystem& fs, int fd, std::string_view bytes, std::uint64_t offset);

/// Hands the octets [from, to) in pieces of at most kChunk to `take`. Errors: changed (the file ends before), io, what
/// take returns.
[[nodiscard]] base::Status for_each_piece(FileSystem& fs, int fd, std::uint64_t from, std::uint64_t to,
                                          const std::function<base::Status(std::string_view)>& take);

/// To be called when a file that is written from front to back has come from `before` to `now`: begins to write what makes a
/// block worth it to the disk, while the caller goes on.
void write_behind(FileSystem& fs, int fd, std::uint64_t before, std::uint64_t now);

/// Copies `length` octets. Every write but the last ends at a multiple of kChunk of the target, so that a process that is
/// killed leaves no page and no sector of it half written. `seen` gets the octets of each write before it is made.
[[nodiscard]] base::Status copy_octets(FileSystem& fs, int from_fd, std::uint64_t from, int to_fd, std::uint64_t to,
                                       std::uint64_t length, const std::function<void(std::string_view)>& seen);

/// Removes a name; that it is not there is fine.
[[nodiscard]] base::Status remove_if_present(FileSystem& fs, int folder, const std::string& name);

[[nodiscard]] base::Result<bool> exists(FileSystem& fs, int folder, const std::string& name);

/// The last up to `most` octets before `end`.
[[nodiscard]] base::Result<std::string> read_before(FileSystem& fs, int fd, std::uint64_t end, std::uint64_t most);

}  // namespace qpop::files
