// SPDX-License-Identifier: MIT
// How often each user of this host has tried old passwords with set-uid popauth: a small table in one record.
//
// Why: the program can be started as often as its caller likes. A try is counted before the password is looked at, so that
// killing the program, or starting a hundred at once, gains nothing. Bounds: kMaxGuessers users, the one whose last try
// is longest ago is forgotten first.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qpop::authdb {

/// Key of the record; no account can have it.
inline constexpr std::string_view kGuessesKey = ".guesses";
inline constexpr std::size_t kMaxGuessers = 64;
/// Tries without waiting; each one after that waits twice as long as the one before, 4 s to kMaxGuessWait.
inline constexpr std::uint32_t kFreeGuesses = 5;
inline constexpr std::int64_t kMaxGuessWait = 60;
/// After so many seconds without a try all is forgotten.
inline constexpr std::int64_t kGuessMemory = 3600;

struct Guesser {
  uid_t uid = 0;
  std::uint32_t tries = 0;
  std::int64_t last = 0;  ///< seconds since the epoch
  bool operator==(const Guesser&) const = default;
};
using Guesses = std::vector<Guesser>;

[[nodiscard]] std::string encode_guesses(const Guesses& guesses);
/// Empty for a damaged record: counting starts again.
[[nodiscard]] Guesses decode_guesses(std::string_view value);

/// Counts a try of `uid` at `now` and returns 0, or returns the seconds to wait, and counts nothing.
[[nodiscard]] std::int64_t count_guess(Guesses& guesses, uid_t uid, std::int64_t now);
/// After a right password. False when there was nothing to forgive.
bool forgive_guesses(Guesses& guesses, uid_t uid);

}  // namespace qpop::authdb
