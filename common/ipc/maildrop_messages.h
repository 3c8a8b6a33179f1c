// SPDX-License-Identifier: MIT
// Messages of the maildrop role, and of programs that run as a user. Who sends which to whom: messages.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/ipc/channel.h"
#include "common/ipc/message_type.h"

namespace qpop::ipc {

enum class DotlockOp : std::uint32_t { lock, touch, unlock };

struct DotlockRequest {
  static constexpr auto kType = MessageType::dotlock_request;
  DotlockOp op = DotlockOp::lock;
  std::uint32_t kernel_locks_held = 0;
};

enum class DotlockResult : std::uint32_t { done, busy, failed };

struct DotlockReply {
  static constexpr auto kType = MessageType::dotlock_reply;
  DotlockResult result = DotlockResult::failed;
  std::int32_t errno_value = 0;
};

/// With the options that hold for this user.
struct MaildropOpened {
  static constexpr auto kType = MessageType::maildrop_opened;
  std::uint32_t has_spool = 0;  ///< 0: no mail; then only the session lock and the listing come along
  std::uint32_t idle_seconds = 0;
  std::uint32_t login_delay_s = 0;
  std::int32_t expire_days = -1;  ///< -1: never
  std::uint8_t hidden_first = 0;  ///< the first message of the listing is not to be shown
  std::uint8_t auto_delete = 0;
  std::uint8_t update_on_abort = 0;
  std::uint8_t honour_status = 0;  ///< messages that are marked as read in the spool count as retrieved
  std::uint8_t may_send = 0;       ///< XTND XMIT
  std::uint8_t debug = 0;
  std::array<std::uint8_t, 2> reserved{};
};

/// The options that hold for this user, as far as the monitor acts on them. From a process of the user's: nothing in it may be able to do more
/// than he can.
struct UserSettings {
  static constexpr auto kType = MessageType::user_settings;
  std::uint8_t statistics = 0;
  std::uint8_t timing = 0;
  FixedText<255> mail_command;
  std::uint8_t reserved = 0;
};

/// XTND XMIT: a process that runs mail-command as the user is wanted.
struct RequestSubmit {
  static constexpr auto kType = MessageType::request_submit;
  std::uint32_t reserved = 0;
};

struct SubmitChannel {
  static constexpr auto kType = MessageType::submit_channel;
  std::uint32_t reserved = 0;
};

struct SubmitPart {
  static constexpr auto kType = MessageType::submit_part;
  static constexpr std::uint64_t kMostOctets = 64UL * 1024 * 1024;  ///< of a message
  std::uint32_t size = 0;
  std::array<char, 1024> bytes{};
};

struct SubmitEnd {
  static constexpr auto kType = MessageType::submit_end;
  std::uint32_t reserved = 0;
};

/// A name of the client's address, from the resolver.
struct ClientName {
  static constexpr auto kType = MessageType::client_name;
  FixedText<255> name;
  std::uint8_t reserved = 0;
};

struct SubmitDone {
  static constexpr auto kType = MessageType::submit_done;
  std::int32_t exit_code = -1;
};

/// What a recovery came to. A struct of its own and not the library's enum: the monitor does not know that library.
enum class RecoveryOutcome : std::uint32_t {
  nothing,    ///< no committed update was found
  redone,     ///< the update was carried out
  finished,   ///< the update had been carried out; its journal was removed
  salvaged,   ///< the spool was rewritten by another program; missing messages were appended
  set_aside,  ///< the journal was damaged; it is kept
  failed,
};

struct MaildropRecovered {
  static constexpr auto kType = MessageType::maildrop_recovered;
  RecoveryOutcome outcome = RecoveryOutcome::failed;
  FixedText<600> text;  ///< for the report: what was found, or why it failed
};

/// locked: the mail locks were not to be had.
enum class MaildropFailure : std::uint32_t { in_use, temporary, permanent, unreadable, changed, no_space, locked, too_early };

struct MaildropFailed {
  static constexpr auto kType = MessageType::maildrop_failed;
  MaildropFailure failure = MaildropFailure::temporary;
};

/// The messages are gone for good, though moving the others is not finished; UpdateDone follows.
struct UpdateCommitted {
  static constexpr auto kType = MessageType::update_committed;
  std::uint32_t reserved = 0;
};

struct UpdateDone {
  static constexpr auto kType = MessageType::update_done;
  std::uint32_t removed = 0;
};

struct UpdateBegin {
  static constexpr auto kType = MessageType::update_begin;
  std::array<std::byte, 16> records_hash{};
  std::uint32_t count = 0;
  std::uint32_t reserved = 0;
};

/// Part `number` of the bit map of deleted messages: bit i of byte b is message number*kBits + 8*b + i (from 0).
struct UpdatePart {
  static constexpr auto kType = MessageType::update_part;
  static constexpr std::size_t kBytes = 1024;
  static constexpr std::size_t kBits = kBytes * 8;
  std::uint32_t number = 0;
  std::array<std::uint8_t, kBytes> bits{};
};

}  // namespace qpop::ipc
