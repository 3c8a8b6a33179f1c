// SPDX-License-Identifier: MIT
// TLS sessions that may be resumed: a bounded table by identifier. What it holds is wiped when it goes.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

namespace qpop::signer {

class SessionCache {
 public:
  static constexpr std::size_t kMost = 20'000;  // some 10 MB
  static constexpr std::int64_t kLifeMs = 7'200'000;

  explicit SessionCache(std::size_t most = kMost) : most_(most) {}
  SessionCache(const SessionCache&) = delete;
  SessionCache& operator=(const SessionCache&) = delete;
  ~SessionCache();

  /// The oldest goes when there are too many. An identifier that is known already keeps its first session: it is not the same client's.
  void store(std::string_view id, std::string_view session, std::int64_t now_ms);
  /// "" when there is none, or it is too old. `once`: it is forgotten.
  [[nodiscard]] std::string find(std::string_view id, bool once, std::int64_t now_ms);
  [[nodiscard]] std::size_t size() const { return sessions_.size(); }

 private:
  struct Entry {
    std::string session;
    std::int64_t stored_ms = 0;
    std::uint64_t number = 0;
  };
  void forget_oldest();
  void erase(std::map<std::string, Entry, std::less<>>::iterator entry);

  std::size_t most_;
  std::map<std::string, Entry, std::less<>> sessions_;
  std::deque<std::pair<std::uint64_t, std::string>> order_;  ///< numbers that are gone already are passed over
  std::uint64_t next_ = 0;
};

}  // namespace qpop::signer
