// SPDX-License-Identifier: MIT
// The table of tries.
#include "common/authdb/guesses.h"

#include <algorithm>

#include "common/authdb/octets.h"

namespace qpop::authdb {

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kEntryOctets = 16;
constexpr std::uint32_t kSteps = 4;  // 4, 8, 16, 32, then kMaxGuessWait

std::int64_t wait_after(std::uint32_t tries) {
  if (tries < kFreeGuesses) return 0;
  const std::uint32_t step = tries - kFreeGuesses;
  return step < kSteps ? std::int64_t{4} << step : kMaxGuessWait;
}

}  // namespace

std::string encode_guesses(const Guesses& guesses) {
  Encoder out;
  out.number(kVersion);
  for (const auto& one : guesses) {
    out.number(static_cast<std::uint32_t>(one.uid));
    out.number(one.tries);
    out.number(one.last);
  }
  return std::move(out).finish(kGuessesKey);
}

Guesses decode_guesses(std::string_view value) {
  if (!has_right_checksum(kGuessesKey, value) || value.front() != kVersion) return {};
  Decoder in{value.substr(1, value.size() - 1 - kChecksumOctets)};
  Guesses guesses;
  while (in.rest().size() >= kEntryOctets && guesses.size() < kMaxGuessers) {
    Guesser one;
    one.uid = in.number<std::uint32_t>();
    one.tries = in.number<std::uint32_t>();
    one.last = in.number<std::int64_t>();
    guesses.push_back(one);
  }
  return guesses;
}

std::int64_t count_guess(Guesses& guesses, uid_t uid, std::int64_t now) {
  std::erase_if(guesses, [&](const Guesser& one) { return now - one.last > kGuessMemory; });
  auto found = std::ranges::find(guesses, uid, &Guesser::uid);
  if (found == guesses.end()) {
    if (guesses.size() >= kMaxGuessers) guesses.erase(std::ranges::min_element(guesses, {}, &Guesser::last));
    found = guesses.insert(guesses.end(), Guesser{.uid = uid});
  }
  // A clock that was put back must not lock anybody out for longer.
  const std::int64_t since = std::max<std::int64_t>(0, now - found->last);
  const std::int64_t wait = wait_after(found->tries);
  if (since < wait) {
    found->last = std::min(found->last, now);
    return wait - since;
  }
  ++found->tries;
  found->last = now;
  return 0;
}

bool forgive_guesses(Guesses& guesses, uid_t uid) {
  return std::erase_if(guesses, [&](const Guesser& one) { return one.uid == uid; }) != 0;
}

}  // namespace qpop::authdb
