// SPDX-License-Identifier: MIT
// What must be true of a maildrop after an update that was disturbed. Every function says what is wrong, or nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fault/scenarios.h"

namespace qpop::test {

struct Expected {
  const Scenario& scenario;
  std::vector<std::string> delivered;  ///< appended by others meanwhile, in this order
  bool may_be_old = true;
  bool may_be_new = true;
  bool no_room = false;  ///< the disk was full: an open end moves as it is
};

/// How wrong a spool is; counted by the runs that simulate power losses.
enum class Damage : std::uint8_t { none, lost, torn, duplicated };

/// The spool is the old or the new one, with what others appended at its end.
struct SpoolVerdict {
  Damage damage = Damage::none;
  bool is_new = false;
  std::string text;
};
[[nodiscard]] SpoolVerdict judge_spool(const std::string& spool, const Expected& expected);

/// The client was told the truth: success and the messages are gone; no_space or changed, before the commit point, and
/// nothing was touched. Looks at the maildrop before anybody recovers it.
[[nodiscard]] std::string judge_answer(const MaildropFixture& drop, const base::Result<spool::UpdatedMaildrop>& updated,
                                       bool committed, const Expected& expected);

/// Some time later, without faults: the next session opens the maildrop and sees all of it, message for message; no
/// lock, no journal and no temporary file are left.
[[nodiscard]] std::string judge_next_session(const MaildropFixture& drop, const Expected& expected,
                                             SpoolVerdict* spool_verdict = nullptr);

/// Names in the state folder that do not belong there between two sessions.
[[nodiscard]] std::vector<std::string> strange_names(const MaildropFixture& drop);
/// The first of them, or nothing.
[[nodiscard]] std::string strange_name(const MaildropFixture& drop);

/// Number of open descriptors below 256.
[[nodiscard]] std::size_t open_descriptors();

}  // namespace qpop::test
