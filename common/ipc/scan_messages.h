// SPDX-License-Identifier: MIT
// Messages between a maildrop process and the one that scans with it.
#pragma once

#include <cstdint>

#include "common/ipc/channel.h"
#include "common/ipc/message_type.h"

namespace qpop::ipc {

/// The second half of a large spool.
struct ScanPart {
  static constexpr auto kType = MessageType::scan_part;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t offset = 0;
  std::uint64_t end = 0;
};

/// With a descriptor of so many records; none: it could not be scanned.
struct PartScanned {
  static constexpr auto kType = MessageType::part_scanned;
  std::uint64_t count = 0;
};

}  // namespace qpop::ipc
