// SPDX-License-Identifier: MIT
// How long an address block, and a user, must wait before the next password is looked at.
//
// Each wrong password of a block doubles its wait, from the option's 2 s to 60 s; after three of them that leaves 3 tries in the next
// minute and one a minute from then on. A wait is served before the password is looked at, so that a delayed attempt costs no work and
// a right password gets in when its turn comes. Levels fall by themselves.
//
// A user's own count bites late (the first eight wrong passwords are free, and one is forgotten every minute), so that one address
// cannot keep a user out; a guess spread over many addresses meets it. A block from which the user has logged in before does not.
//
// The same wrong password again is a saved client, not a guess: it raises nothing. Only 16 bits of a keyed hash of the last wrong
// password are kept: enough to know it again, too little to find it.
//
// The table is a file of fixed size: inetd mode shares it between processes, and it survives a reload. Damage is emptiness. When a set
// is full, the entry that means least is forgotten. Names and addresses are stored as keyed hashes, so nobody can aim at a set. Blocks from which
// a user has logged in have sets of their own: wrong passwords, which anybody can send, do not push them out.
//
// File    header: "QPOPWAIT", version u32 (2; another one is emptiness), sets u32, key 32 octets, XXH3-64 of these; then sets of 8
//         entries and their XXH3-64: first those of failures, then as many of known blocks.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/base/unique_fd.h"
#include "common/digest/digest.h"

namespace qpop::authenticator {

class Penalties {
 public:
  static constexpr std::int64_t kMostMs = 60'000;
  static constexpr unsigned kFreeOfUser = 8;
  static constexpr std::uint32_t kSets = 512;
  static constexpr std::uint32_t kKnownSets = 512;

  struct Subject {
    std::string_view block;
    std::string_view user;  ///< "": counted against the block alone
  };

  /// `file`: regular file or memory file, read and written at offsets; made anew when it is not ours or damaged. `base_ms`: the first
  /// wait; 0 switches all of it off. Errors  io; no_space.
  [[nodiscard]] static base::Result<Penalties> open(base::UniqueFd file, std::int64_t base_ms);

  /// Whether the user has logged in from this block before.
  [[nodiscard]] bool knows(const Subject& subject, std::int64_t now_ms) const;

  /// 0: it may be looked at now, and has begun: until it is over, others of its block wait as if it had failed, unless none has failed
  /// lately. Else milliseconds to wait.
  [[nodiscard]] std::int64_t admit(const Subject& subject, std::int64_t now_ms);

  /// A wrong password. `password`: "" when the mechanism does not show it. Returns for how long to hold back the answer.
  std::int64_t failed(const Subject& subject, std::string_view password, std::int64_t now_ms);
  /// A good login; the block is known for this user from now on. What others of the block did wrong stays.
  void succeeded(const Subject& subject, std::int64_t now_ms);
  /// What was admitted came to nothing by our own fault.
  void released(const Subject& subject, std::int64_t now_ms);

 private:
  struct Entry {
    std::uint64_t key = 0;  ///< 0: empty
    std::int64_t next_ms = 0;
    std::int64_t last_ms = 0;
    std::uint32_t level = 0;
    std::uint16_t tag = 0;  ///< of the last wrong password; 0: none
    std::uint16_t kind = 0;
  };
  static constexpr std::size_t kWays = 8;
  struct Set {
    std::array<Entry, kWays> entries{};
    std::uint64_t checksum = 0;
  };
  struct Header {
    std::array<char, 8> magic{'Q', 'P', 'O', 'P', 'W', 'A', 'I', 'T'};
    std::uint32_t version = 2;
    std::uint32_t sets = kSets;
    digest::Digest32 key{};
    std::uint64_t checksum = 0;
  };
  enum Kind : std::uint16_t { kBlock = 1, kUser = 2, kKnown = 3 };
  class Lock;

  Penalties(base::UniqueFd file, std::int64_t base_ms) : file_(std::move(file)), base_ms_(base_ms) {}
  [[nodiscard]] base::Status prepare();
  [[nodiscard]] std::uint64_t key_of(Kind kind, const Subject& subject) const;
  [[nodiscard]] std::uint16_t tag_of(const Subject& subject, std::string_view password) const;
  /// The entry of `key`, levels fallen to what they are now; a fresh one when there is none.
  [[nodiscard]] Entry load(std::uint64_t key, Kind kind, std::int64_t now_ms) const;
  void store(const Entry& entry, std::int64_t now_ms);
  [[nodiscard]] static off_t place_of(std::uint64_t key, std::uint16_t kind);
  [[nodiscard]] Set read_set(std::uint64_t key, std::uint16_t kind) const;
  [[nodiscard]] std::int64_t wait_of(const Entry& entry) const;

  base::UniqueFd file_;
  std::int64_t base_ms_;
  digest::Digest32 key_{};
};

}  // namespace qpop::authenticator
