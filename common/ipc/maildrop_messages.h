// SPDX-License-Identifier: MIT
// Messages between the monitor and a maildrop process that waits for work.
#pragma once

#include <cstdint>

#include "common/ipc/channel.h"
#include "common/ipc/message_type.h"

namespace qpop::ipc {

/// Whose maildrop it is, with the end of a channel to the session. The rest of a job was there at the fork.
struct StartMaildrop {
  static constexpr auto kType = MessageType::start_maildrop;
  std::uint32_t work = 0;  ///< maildrop::Work: open or update
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  FixedText<64> name;
  FixedText<480> home;
  FixedText<480> state_folder;
};

}  // namespace qpop::ipc
