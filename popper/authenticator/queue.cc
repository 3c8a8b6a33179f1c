// SPDX-License-Identifier: MIT
// Whose turn it is. Runs as: pop, or the starting user.
#include "popper/authenticator/queue.h"

#include <algorithm>

namespace qpop::authenticator {

void Queue::add(int id, const std::string& block, bool preferred, std::int64_t now_ms) {
  waiting_.push_back({id, block, preferred, now_ms, now_ms});
  served_.try_emplace(block, turn_);  // a new block has been served just now: it cannot jump the others by coming back
}

void Queue::remove(int id) {
  const auto found = std::ranges::find(waiting_, id, &Waiting::id);
  if (found == waiting_.end()) return;
  const std::string block = std::move(found->block);
  waiting_.erase(found);
  if (std::ranges::find(waiting_, block, &Waiting::block) == waiting_.end()) served_.erase(block);
}

void Queue::delay(int id, std::int64_t until_ms) {
  const auto found = std::ranges::find(waiting_, id, &Waiting::id);
  if (found != waiting_.end()) found->not_before_ms = until_ms;
}

std::optional<int> Queue::next(std::int64_t now_ms) {
  const Waiting* best = nullptr;
  const auto rank = [this](const Waiting& waiting) { return std::pair{served_.at(waiting.block), !waiting.preferred}; };
  for (const auto& waiting : waiting_) {
    if (waiting.not_before_ms <= now_ms && (best == nullptr || rank(waiting) < rank(*best))) best = &waiting;
  }
  if (best == nullptr) return std::nullopt;
  served_.at(best->block) = ++turn_;
  return best->id;
}

std::optional<int> Queue::overdue(std::int64_t now_ms, std::int64_t most_ms) const {
  if (waiting_.empty() || now_ms - waiting_.front().since_ms <= most_ms) return std::nullopt;
  return waiting_.front().id;
}

std::optional<std::int64_t> Queue::wake_ms(std::int64_t most_ms) const {
  if (waiting_.empty()) return std::nullopt;
  std::int64_t wake = waiting_.front().since_ms + most_ms + 1;
  for (const auto& waiting : waiting_) wake = std::min(wake, waiting.not_before_ms);
  return wake;
}

}  // namespace qpop::authenticator
