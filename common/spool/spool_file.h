// SPDX-License-Identifier: MIT
// Rules for a spool as a file: how it is opened, where a message may start, what its end lacks.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/result.h"
#include "common/files/io.h"
#include "common/listing/listing.h"
#include "common/spool/context.h"

namespace qpop::spool {

using files::again;
using files::copy_octets;
using files::exists;
using files::for_each_piece;
using files::kChunk;
using files::read_before;
using files::read_exactly;
using files::read_up_to;
using files::remove_if_present;
using files::write_all;

/// Opens the spool and checks what it is.
///
/// Flags    O_RDONLY or O_RDWR; O_NONBLOCK is added, O_NOFOLLOW and O_CLOEXEC come from the seam.
/// Errors   not_found; unsafe: not a regular file, another owner, more than one link, the detail names it; denied, io.
[[nodiscard]] base::Result<base::UniqueFd> open_spool(FileSystem& fs, const MaildropPaths& paths, int flags);

/// Makes the name of the spool durable. A folder that may be searched but not read cannot be synced: then the sync of the
/// spool itself has to do, which on the usual file systems takes the name along.
[[nodiscard]] base::Status sync_spool_name(FileSystem& fs, const MaildropPaths& paths);

/// An empty spool, durably; that it is there already is fine.
[[nodiscard]] base::Status make_spool(FileSystem& fs, const MaildropPaths& paths);

/// That something was done now: the modification time of a file of this name in the state folder says so. Where it cannot be
/// noted, it will be done again.
void note_time(const Context& context, const MaildropPaths& paths, const char* name);

[[nodiscard]] base::Result<std::uint64_t> size_of(FileSystem& fs, int fd);

/// Does a message start at `offset`: behind an empty line (or at 0) a postmark, or an MMDF separator at the start of a
/// line? false also when nothing follows.
[[nodiscard]] base::Result<bool> boundary_at(FileSystem& fs, int fd, std::uint64_t offset, listing::SpoolFormat format);

/// What must follow the octets [0, end) so that a message can be appended: nothing, an empty line, the end of a line
/// and an empty line, or the closing separator of MMDF. `last_trailer`: of the last message (MMDF only).
[[nodiscard]] base::Result<std::string> missing_end(FileSystem& fs, int fd, std::uint64_t end,
                                                    listing::SpoolFormat format, std::uint8_t last_trailer);

}  // namespace qpop::spool
