// SPDX-License-Identifier: MIT
// Locks: all or none, never waiting while holding one.
#include "common/spool/locks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "common/base/text.h"
#include "common/digest/digest.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;

constexpr std::uint32_t kShortestPauseMs = 20;
constexpr std::uint32_t kLongestPauseMs = 200;
constexpr std::int64_t kTouchEveryMs = 30'000;

std::uint32_t random_pause(std::uint32_t ceiling) {
  std::array<std::byte, 4> bytes{};
  digest::random_bytes(bytes);
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return kShortestPauseMs + value % (ceiling - kShortestPauseMs + 1);
}

/// Whoever holds the session lock only finishes an update.
bool is_finishing(const Context& context, int fd) {
  auto taken = again([&] { return context.fs.try_lock_record(fd); });
  if (taken && *taken) static_cast<void>(context.fs.unlock_record(fd));
  return taken && !*taken;
}

}  // namespace

Result<UniqueFd> lock_session(const Context& context, int state_folder_fd, std::uint32_t patience_ms, std::uint32_t ending_ms) {
  FileSystem& fs = context.fs;
  auto fd = again([&] { return fs.open_at(state_folder_fd, kSessionName, O_RDWR | O_CREAT | O_NONBLOCK, 0600); });
  if (!fd) return fd.error().at("open the session lock");
  const std::int64_t start = context.clock.monotonic_ms();
  for (;;) {
    auto locked = check_session_lock(context, state_folder_fd, fd->get());
    if (locked) return fd;
    const std::int64_t waited = context.clock.monotonic_ms() - start;
    const bool worth_waiting = waited < ending_ms || (waited < patience_ms && is_finishing(context, fd->get()));
    if (locked.error().kind() != ErrorKind::busy || !worth_waiting) return locked.error();
    fs.sleep_ms(kShortestPauseMs);
  }
}

void mark_finishing(const Context& context, int session_lock_fd) {
  for (int tries = 0; tries < 3; ++tries) {
    auto taken = again([&] { return context.fs.try_lock_record(session_lock_fd); });
    if (!taken || *taken) return;
    context.fs.sleep_ms(1);  // somebody just looks whether it is held
  }
}

Status check_session_lock(const Context& context, int state_folder_fd, int fd) {
  FileSystem& fs = context.fs;
  auto opened = again([&] { return fs.status(fd); });
  if (!opened) return opened.error().at("look at the session lock");
  auto named = again([&] { return fs.status_at(state_folder_fd, kSessionName); });
  if (!named) return named.error().at("look at the session lock");
  if (!S_ISREG(opened->mode) || !opened->same_file(*named)) {
    return Error{ErrorKind::unsafe, "the descriptor is not the session file of this maildrop"};
  }
  auto locked = again([&] { return fs.try_flock(fd); });
  if (!locked) return locked.error().at("take the session lock");
  if (!*locked) return Error{ErrorKind::busy, fmt::format("{}another session has this maildrop", kOtherSession)};
  return {};
}

Result<MailLock> MailLock::acquire(const Context& context, const MaildropPaths& paths, MailLockKinds kinds,
                                   std::uint32_t timeout_ms, Warnings& warnings) {
  MailLock lock{context, kinds};
  const std::int64_t deadline = context.clock.monotonic_ms() + timeout_ms;
  for (std::uint32_t ceiling = 2 * kShortestPauseMs;; ceiling = std::min(2 * ceiling, kLongestPauseMs)) {
    auto taken = lock.try_once(paths, warnings);
    if (!taken) return taken.error();
    if (*taken) return lock;
    lock.release();
    const std::int64_t left = deadline - context.clock.monotonic_ms();
    if (left <= 0) return Error{ErrorKind::busy, fmt::format("mail lock: {}", lock.busy_)};
    context.fs.sleep_ms(static_cast<std::uint32_t>(std::min<std::int64_t>(random_pause(ceiling), left)));
  }
}

Result<bool> MailLock::try_once(const MaildropPaths& paths, Warnings& warnings) {
  auto fd = open_spool(context_.fs, paths, O_RDWR);
  if (!fd && fd.error().kind() == ErrorKind::busy) {
    busy_ = "another program has a lease on the spool";
    return false;
  }
  if (!fd) return fd.error();
  fd_ = std::move(*fd);
  auto locked = try_all(warnings);
  if (!locked || !*locked) return locked;
  auto ours = name_is_ours(paths);
  if (ours && !*ours) busy_ = "the spool was replaced again and again";
  return ours;
}

void MailLock::take_lease() {
  if (kinds_.lease) static_cast<void>(context_.fs.try_lease(fd_.get()));
}

Result<bool> MailLock::try_all(Warnings& warnings) {
  busy_ = "the lock file is held";
  auto dotlock = try_dotlock(false, warnings);
  if (!dotlock) return dotlock;
  if (kinds_.fcntl) {
    auto locked = again([&] { return context_.fs.try_lock_record(fd_.get()); });
    if (locked && !*locked) busy_ = "the fcntl lock is held";
    if (!locked || !*locked) return locked;
    record_ = true;
  }
  if (kinds_.flock) {
    auto locked = again([&] { return context_.fs.try_flock(fd_.get()); });
    if (locked && !*locked) busy_ = "the flock is held";
    if (!locked || !*locked) return locked;
    flock_ = true;
  }
  touched_ms_ = context_.clock.monotonic_ms();
  if (*dotlock) return true;
  if (record_ || flock_) return try_dotlock(true, warnings);
  // Lock files alone are asked for; to break a stale one a kernel lock is taken all the same.
  auto guarded = again([&] { return context_.fs.try_flock(fd_.get()); });
  if (!guarded || !*guarded) return false;
  auto broken = try_dotlock(true, warnings);
  static_cast<void>(context_.fs.unlock_flock(fd_.get()));
  return broken;
}

/// True too when lock files are switched off or cannot be made here.
Result<bool> MailLock::try_dotlock(bool kernel_locks_held, Warnings& warnings) {
  if (!kinds_.dotlock) return true;
  auto locked = again([&] { return context_.dotlock.try_lock(kernel_locks_held); });
  if (locked) {
    dotlock_ = *locked;
    return locked;
  }
  const auto kind = locked.error().kind();
  const bool others = kinds_.fcntl || kinds_.flock;
  if (!others || (kind != ErrorKind::denied && kind != ErrorKind::no_space)) return locked;
  warnings.push_back(fmt::format("{}; the spool is locked with fcntl and flock alone", locked.error().message()));
  kinds_.dotlock = false;
  return true;
}

Result<bool> MailLock::name_is_ours(const MaildropPaths& paths) {
  auto opened = again([&] { return context_.fs.status(fd_.get()); });
  if (!opened) return opened.error();
  auto named = again([&] { return context_.fs.status_at(paths.spool_folder_fd, paths.spool_name); });
  if (!named) {
    if (named.error().kind() == ErrorKind::not_found) return false;
    return named.error();
  }
  return opened->links >= 1 && opened->same_file(*named);
}

MailLock::MailLock(MailLock&& other) noexcept
    : context_(other.context_),
      kinds_(other.kinds_),
      fd_(std::move(other.fd_)),
      busy_(other.busy_),
      dotlock_(std::exchange(other.dotlock_, false)),
      record_(std::exchange(other.record_, false)),
      flock_(std::exchange(other.flock_, false)),
      touched_ms_(other.touched_ms_) {}

void MailLock::refresh() {
  if (!dotlock_ || context_.clock.monotonic_ms() - touched_ms_ < kTouchEveryMs) return;
  static_cast<void>(context_.dotlock.touch());
  touched_ms_ = context_.clock.monotonic_ms();
}

void MailLock::release() {
  if (std::exchange(flock_, false)) static_cast<void>(context_.fs.unlock_flock(fd_.get()));
  if (std::exchange(record_, false)) static_cast<void>(context_.fs.unlock_record(fd_.get()));
  fd_.reset();
  // Last: who waits for the lock file finds the kernel locks free.
  if (std::exchange(dotlock_, false)) static_cast<void>(context_.dotlock.unlock());
}

MailLockKinds lock_kinds(std::string_view text) {
  const auto words = base::words(text);
  const auto has = [&](std::string_view word) { return std::ranges::find(words, word) != words.end(); };
  return {.dotlock = has("dotlock"), .fcntl = has("fcntl"), .flock = has("flock"), .lease = has("lease")};
}

std::string_view unknown_lock_kind(std::string_view text) {
  constexpr std::array<std::string_view, 5> kKnown{"dotlock", "fcntl", "flock", "lease", "none"};
  for (const auto word : base::words(text)) {
    if (std::ranges::find(kKnown, word) == kKnown.end()) return word;
  }
  return {};
}

}  // namespace qpop::spool
