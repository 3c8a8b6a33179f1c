// SPDX-License-Identifier: MIT
// The table of sessions.
// Runs as: tls-user, without files.
#include "popper/signer/session_cache.h"

#include "common/base/secret.h"

namespace qpop::signer {

SessionCache::~SessionCache() {
  for (auto& [id, entry] : sessions_) base::wipe(entry.session.data(), entry.session.size());
}

void SessionCache::erase(std::map<std::string, Entry, std::less<>>::iterator entry) {
  base::wipe(entry->second.session.data(), entry->second.session.size());
  sessions_.erase(entry);
}

void SessionCache::forget_oldest() {
  const auto [number, id] = order_.front();
  order_.pop_front();
  const auto entry = sessions_.find(id);
  if (entry != sessions_.end() && entry->second.number == number) erase(entry);
}

void SessionCache::store(std::string_view id, std::string_view session, std::int64_t now_ms) {
  if (id.empty() || session.empty() || sessions_.contains(id)) return;
  while (!order_.empty() && (sessions_.size() >= most_ || order_.size() >= 2 * most_)) forget_oldest();
  Entry entry{std::string{session}, now_ms, next_++};
  order_.emplace_back(entry.number, id);
  sessions_.emplace(id, std::move(entry));
}

std::string SessionCache::find(std::string_view id, bool once, std::int64_t now_ms) {
  const auto entry = sessions_.find(id);
  if (entry == sessions_.end()) return {};
  std::string session;
  if (now_ms - entry->second.stored_ms < kLifeMs) session = entry->second.session;
  if (once || session.empty()) erase(entry);
  return session;
}

}  // namespace qpop::signer
