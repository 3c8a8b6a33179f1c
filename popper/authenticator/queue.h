// SPDX-License-Identifier: MIT
// Attempts that wait for their turn: address blocks take turns, so that a flood from one, or from many that send much, leaves the
// others theirs. Checking a password is the dearest thing that a stranger can make us do.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace qpop::authenticator {

class Queue {
 public:
  /// `id`: of the caller; one attempt each. `preferred`: goes before others of its block: the user has logged in from there before, so
  /// somebody who guesses from behind the same address does not take his turn.
  void add(int id, const std::string& block, bool preferred, std::int64_t now_ms);
  void remove(int id);
  /// It comes back not before `until_ms`.
  void delay(int id, std::int64_t until_ms);
  /// The attempt whose turn it is: of those that may be looked at, the preferred and then the oldest of the block that was served
  /// the longest time ago. It stays in the queue until remove().
  [[nodiscard]] std::optional<int> next(std::int64_t now_ms);
  /// One that has waited for longer than `most_ms`.
  [[nodiscard]] std::optional<int> overdue(std::int64_t now_ms, std::int64_t most_ms) const;
  /// When something may be looked at, or becomes overdue; empty when nothing waits.
  [[nodiscard]] std::optional<std::int64_t> wake_ms(std::int64_t most_ms) const;
  [[nodiscard]] std::size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    int id;
    std::string block;
    bool preferred;
    std::int64_t since_ms;
    std::int64_t not_before_ms;
  };
  std::list<Waiting> waiting_;  // oldest first; a few hundred at most (max-unauthenticated)
  std::map<std::string, std::uint64_t> served_;  // of blocks that wait
  std::uint64_t turn_ = 0;
};

}  // namespace qpop::authenticator
