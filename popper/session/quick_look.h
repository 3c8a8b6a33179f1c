// SPDX-License-Identifier: MIT
// Whether the next command of a client is looked for a few times before anybody sleeps.
//
// A client on this host that talks in lockstep answers sooner than a sleeping process wakes up. Which one does is not asked for by its
// address but seen: its last commands came at once. Processor time is given for it as long as that goes well; a session of a few commands is
// over before that.
// Runs as: popnet, without any right.
#pragma once

#include <algorithm>
#include <chrono>

namespace qpop::session {

class QuickLook {
 public:
  using Duration = std::chrono::steady_clock::duration;
  static constexpr Duration kQuick = std::chrono::microseconds{150};  ///< from answer to next command, waking up included
  static constexpr Duration kLook = std::chrono::microseconds{80};
  static constexpr unsigned kQuickTurns = 8;     ///< so many in a row came at once before the first look
  static constexpr unsigned kTurnsToSleep = 32;  ///< after looking in vain

  /// It was slept for so long until something came.
  void slept(Duration duration) { quick_turns_ = duration < kQuick ? std::min(quick_turns_ + 1, kQuickTurns) : 0; }

  [[nodiscard]] bool is_quick() const { return quick_turns_ == kQuickTurns; }

  /// true: something is there. `is_there` is asked again and again, and `now` for the time, or neither of them: the client is slow, or
  /// was looked for in vain not long ago.
  template <class IsThere, class Now>
  [[nodiscard]] bool finds(const IsThere& is_there, const Now& now) {
    if (!is_quick()) return false;
    if (turns_to_sleep_ > 0) {
      --turns_to_sleep_;
      return false;
    }
    for (const auto start = now(); now() - start < kLook;) {
      if (is_there()) return true;
    }
    turns_to_sleep_ = kTurnsToSleep;
    return false;
  }

 private:
  unsigned quick_turns_ = 0;
  unsigned turns_to_sleep_ = 0;
};

}  // namespace qpop::session
