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
#include "common/spool/context.h"
#include "common/spool/file_system.h"

namespace qpop::spool {

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

/// Removes a name; that it is not there is fine.
[[nodiscard]] base::Status remove_if_present(FileSystem& fs, int folder, const std::string& name);

[[nodiscard]] base::Result<bool> exists(FileSystem& fs, int folder, const std::string& name);

/// Opens the spool and checks what it is.
///
/// Flags    O_RDONLY or O_RDWR; O_NONBLOCK is added, O_NOFOLLOW and O_CLOEXEC come from the seam.
/// Errors   not_found; unsafe: not a regular file, another owner, more than one link, the detail names it; denied, io.
[[nodiscard]] base::Result<base::UniqueFd> open_spool(FileSystem& fs, const MaildropPaths& paths, int flags);

/// Does a message start at `offset`: behind an empty line (or at 0) a postmark, or an MMDF separator at the start of a
/// line? false also when nothing follows.
[[nodiscard]] base::Result<bool> boundary_at(FileSystem& fs, int fd, std::uint64_t offset, listing::SpoolFormat format);

/// What must follow the octets [0, end) so that a message can be appended: nothing, an empty line, the end of a line
/// and an empty line, or the closing separator of MMDF. `last_trailer`: of the last message (MMDF only).
[[nodiscard]] base::Result<std::string> missing_end(FileSystem& fs, int fd, std::uint64_t end,
                                                    listing::SpoolFormat format, std::uint8_t last_trailer);

/// The last up to `most` octets before `end`.
[[nodiscard]] base::Result<std::string> read_before(FileSystem& fs, int fd, std::uint64_t end, std::uint64_t most);

}  // namespace qpop::spool
