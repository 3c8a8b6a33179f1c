// SPDX-License-Identifier: MIT
// What popper --who, --kick and --metrics say to a running server, over the socket "control" in its state folder (SOCK_SEQPACKET, mode 0600).
// Unlike the messages between roles these may meet another version of the program; the channel's protocol number tells.
#pragma once

#include "common/ipc/channel.h"
#include "common/ipc/message_type.h"

namespace qpop::ipc {

enum class ControlVerb : std::uint32_t { who, kick, metrics };

struct ControlRequest {
  static constexpr auto kType = MessageType::control_request;
  ControlVerb verb = ControlVerb::who;
  FixedText<255> user;
};

/// Text of the answer, in pieces; the last one is empty.
struct ControlText {
  static constexpr auto kType = MessageType::control_text;
  FixedText<1024> text;
};

}  // namespace qpop::ipc
