// SPDX-License-Identifier: MIT
// The table of waits. Runs as: pop, or the starting user.
#include "popper/authenticator/penalties.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <tuple>

namespace qpop::authenticator {

namespace {

using base::Error;

constexpr std::uint32_t kMostLevel = 12;  // beyond it every base has come to the longest wait
constexpr std::uint32_t kMostUserLevel = 30;
constexpr std::int64_t kBlockFallMs = 300'000;  // one level is forgotten
constexpr std::int64_t kUserFallMs = 60'000;
constexpr std::int64_t kKnownFallMs = 30LL * 86'400'000;
constexpr std::int64_t kMostAnswerMs = 16'000;  // a refusal is held back no longer: sessions that wait are sessions

template <class T>
std::string_view bytes_before_checksum(const T& value) {
  return {reinterpret_cast<const char*>(&value), offsetof(T, checksum)};
}

bool write_all(int fd, const void* data, std::size_t size, off_t at) { return ::pwrite(fd, data, size, at) == static_cast<ssize_t>(size); }

}  // namespace

/// Other processes share the file.
class Penalties::Lock {
 public:
  explicit Lock(int fd) : fd_(fd) {
    while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() { (void)::flock(fd_, LOCK_UN); }

 private:
  int fd_;
};

base::Result<Penalties> Penalties::open(base::UniqueFd file, std::int64_t base_ms) {
  Penalties table{std::move(file), base_ms};
  if (auto ready = table.prepare(); !ready) return ready.error();
  return table;
}

base::Status Penalties::prepare() {
  static_assert(sizeof(Set) == kWays * sizeof(Entry) + 8 && sizeof(Header) == 56 && sizeof(Entry) == 32, "no padding: written as it is");
  const Lock lock{file_.get()};
  Header header;
  const ssize_t got = ::pread(file_.get(), &header, sizeof header, 0);
  const bool ours = got == static_cast<ssize_t>(sizeof header) && header.magic == Header{}.magic && header.version == Header{}.version &&
                    header.sets == kSets && header.checksum == digest::xxh3_64(bytes_before_checksum(header));
  if (!ours) {
    header = Header{};
    digest::random_bytes(header.key);
    header.checksum = digest::xxh3_64(bytes_before_checksum(header));
    if (::ftruncate(file_.get(), 0) != 0) return Error::from_errno(errno, "ftruncate");
    if (!write_all(file_.get(), &header, sizeof header, 0)) return Error::from_errno(errno, "pwrite");
  }
  key_ = header.key;
  return {};
}

std::uint64_t Penalties::key_of(Kind kind, const Subject& subject) const {
  std::string text(1, static_cast<char>(kind));
  if (kind != kUser) text.append(subject.block);
  text += '\0';
  if (kind != kBlock) text.append(subject.user);
  const auto mac = digest::hmac_sha256(digest::view_of(key_), text);
  std::uint64_t key = 0;
  std::memcpy(&key, mac.data(), sizeof key);
  return key == 0 ? 1 : key;
}

std::uint16_t Penalties::tag_of(const Subject& subject, std::string_view password) const {
  if (password.empty()) return 0;
  std::string text = "password";
  text.append(subject.user).append(1, '\0').append(password);
  const auto mac = digest::hmac_sha256(digest::view_of(key_), text);
  base::wipe(text.data(), text.size());
  std::uint16_t tag = 0;
  std::memcpy(&tag, mac.data(), sizeof tag);
  return tag == 0 ? 1 : tag;
}

off_t Penalties::place_of(std::uint64_t key, std::uint16_t kind) {
  const std::uint64_t number = kind == kKnown ? kSets + key % kKnownSets : key % kSets;
  return static_cast<off_t>(sizeof(Header) + number * sizeof(Set));
}

Penalties::Set Penalties::read_set(std::uint64_t key, std::uint16_t kind) const {
  Set set;
  const ssize_t got = ::pread(file_.get(), &set, sizeof set, place_of(key, kind));
  if (got == static_cast<ssize_t>(sizeof set) && set.checksum == digest::xxh3_64(bytes_before_checksum(set))) return set;
  return {};
}

Penalties::Entry Penalties::load(std::uint64_t key, Kind kind, std::int64_t now_ms) const {
  const auto set = read_set(key, kind);
  const auto found = std::ranges::find_if(set.entries, [&](const Entry& entry) { return entry.key == key && entry.kind == kind; });
  Entry fresh;
  fresh.key = key;
  fresh.kind = kind;
  if (found == set.entries.end()) return fresh;
  Entry entry = *found;
  // The clock starts anew with the machine: what lies in its future is of an earlier life.
  if (entry.last_ms > now_ms || entry.next_ms > now_ms + kMostMs) return fresh;
  const std::int64_t fall = kind == kBlock ? kBlockFallMs : kind == kUser ? kUserFallMs : kKnownFallMs;
  const auto fallen = static_cast<std::uint32_t>(std::min<std::int64_t>((now_ms - entry.last_ms) / fall, entry.level));
  entry.level -= fallen;
  entry.last_ms += fallen * fall;
  return entry;
}

void Penalties::store(const Entry& entry, std::int64_t now_ms) {
  auto set = read_set(entry.key, entry.kind);
  auto place = std::ranges::find_if(set.entries, [&](const Entry& other) { return other.key == entry.key && other.kind == entry.kind; });
  if (place == set.entries.end()) {
    // The one that means least: empty, then no level left, then the lowest level, then the oldest.
    place = std::ranges::min_element(set.entries, {}, [&](const Entry& other) {
      const std::uint32_t level = other.key == 0 ? 0 : load(other.key, static_cast<Kind>(other.kind), now_ms).level;
      return std::tuple{other.key != 0, level, other.last_ms};
    });
  }
  *place = entry;
  set.checksum = digest::xxh3_64(bytes_before_checksum(set));
  // A write that fails forgets a failure; a login must not fail for it.
  (void)write_all(file_.get(), &set, sizeof set, place_of(entry.key, entry.kind));
}

std::int64_t Penalties::wait_of(const Entry& entry) const {
  const std::uint32_t free = entry.kind == kUser ? kFreeOfUser : 0;
  if (entry.level <= free) return 0;
  return std::min(kMostMs, base_ms_ << std::min(entry.level - free - 1, kMostLevel));
}

bool Penalties::knows(const Subject& subject, std::int64_t now_ms) const {
  const Lock lock{file_.get()};
  return base_ms_ != 0 && load(key_of(kKnown, subject), kKnown, now_ms).level > 0;
}

std::int64_t Penalties::admit(const Subject& subject, std::int64_t now_ms) {
  if (base_ms_ == 0) return 0;
  const Lock lock{file_.get()};
  Entry block = load(key_of(kBlock, subject), kBlock, now_ms);
  Entry user = subject.user.empty() ? Entry{} : load(key_of(kUser, subject), kUser, now_ms);
  std::int64_t wait = block.next_ms - now_ms;
  if (wait_of(user) > 0 && load(key_of(kKnown, subject), kKnown, now_ms).level == 0) wait = std::max(wait, user.next_ms - now_ms);
  if (wait > 0) return wait;
  if (block.level > 0) {
    block.next_ms = now_ms + wait_of(block);
    store(block, now_ms);
  }
  if (wait_of(user) > 0) {
    user.next_ms = now_ms + wait_of(user);
    store(user, now_ms);
  }
  return 0;
}

std::int64_t Penalties::failed(const Subject& subject, std::string_view password, std::int64_t now_ms) {
  if (base_ms_ == 0) return 0;
  const Lock lock{file_.get()};
  const auto tag = tag_of(subject, password);
  Entry block = load(key_of(kBlock, subject), kBlock, now_ms);
  Entry user = subject.user.empty() ? Entry{} : load(key_of(kUser, subject), kUser, now_ms);
  // Several users of a block may each have a saved client: the user's entry knows his. A tag outlives its level, for clients that come
  // back every quarter of an hour.
  const bool repeated = tag != 0 && (block.tag == tag || user.tag == tag);
  if (!repeated) {
    block.level = std::min(block.level + 1, kMostLevel);
    user.level = std::min(user.level + 1, kMostUserLevel);
    block.last_ms = user.last_ms = now_ms;
  }
  if (block.level == 0) {
    block.level = 1;
    block.last_ms = now_ms;
  }
  block.tag = user.tag = tag;
  block.next_ms = now_ms + wait_of(block);
  user.next_ms = now_ms + wait_of(user);
  store(block, now_ms);
  if (!subject.user.empty()) store(user, now_ms);
  return std::min(wait_of(block), kMostAnswerMs);
}

void Penalties::succeeded(const Subject& subject, std::int64_t now_ms) {
  if (base_ms_ == 0) return;
  released(subject, now_ms);
  const Lock lock{file_.get()};
  Entry known = load(key_of(kKnown, subject), kKnown, now_ms);
  known.level = 1;
  known.last_ms = now_ms;
  store(known, now_ms);
}

void Penalties::released(const Subject& subject, std::int64_t now_ms) {
  if (base_ms_ == 0) return;
  const Lock lock{file_.get()};
  for (const Kind kind : {kBlock, kUser}) {
    Entry entry = load(key_of(kind, subject), kind, now_ms);
    if (entry.level == 0) continue;
    entry.next_ms = now_ms;
    store(entry, now_ms);
  }
}

}  // namespace qpop::authenticator
