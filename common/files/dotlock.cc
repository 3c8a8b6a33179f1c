// SPDX-License-Identifier: MIT
// The lock file, made and removed directly.
#include "common/files/dotlock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/base/text.h"
#include "common/files/io.h"

namespace qpop::files {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;

Result<bool> DirectDotlock::try_lock(bool kernel_locks_held) {
  if (fd_.valid()) return true;
  auto made = create();
  if (!made || *made || !kernel_locks_held) return made;
  auto removed = remove_stale();
  if (!removed || !*removed) return removed;
  return create();
}

Result<bool> DirectDotlock::create_by_link() {
  // Not a name that a maildrop can have.
  const std::string other = fmt::format(".{}.{}.{}", name_, ::getpid(), clock_.realtime_ns());
  auto fd = again([&] { return fs_.open_at(folder_, other, O_WRONLY | O_CREAT | O_EXCL, 0600); });
  if (!fd) return fd.error().at("make the lock file", other);
  static_cast<void>(write_all(fs_, fd->get(), fmt::format("{}\n", ::getpid()), 0));
  auto linked = again([&] { return fs_.link_at(folder_, other, name_); });
  // An answer of the server may be lost: two links mean that ours was made, whatever link(2) said.
  auto status = again([&] { return fs_.status(fd->get()); });
  const bool made = status && status->links == 2;
  auto removed = remove_if_present(fs_, folder_, other);
  if (made && removed) {
    made_ = *status;
    fd_ = std::move(*fd);
    return true;
  }
  if (made) {
    static_cast<void>(remove_if_present(fs_, folder_, name_));
    return removed.error().at("remove", other);
  }
  if (!status) return status.error().at("make the lock file", name_);
  if (!linked && linked.error().errno_value() != EEXIST) return linked.error().at("make the lock file", name_);
  return false;
}

Result<bool> DirectDotlock::create() {
  if (creation_ == LockCreation::link) return create_by_link();
  auto fd = again([&] { return fs_.open_at(folder_, name_, O_WRONLY | O_CREAT | O_EXCL, 0600); });
  if (!fd) {
    if (fd.error().errno_value() == EEXIST) return false;
    return fd.error().at("make the lock file", name_);
  }
  auto status = again([&] { return fs_.status(fd->get()); });
  // The name alone is the lock; without its content it can only not be judged stale by pid. So a full disk is no reason
  // to fail.
  if (status) static_cast<void>(write_all(fs_, fd->get(), fmt::format("{}\n", ::getpid()), 0));
  if (!status) {
    static_cast<void>(remove_if_present(fs_, folder_, name_));
    return status.error().at("make the lock file", name_);
  }
  made_ = *status;
  fd_ = std::move(*fd);
  return true;
}

Result<bool> DirectDotlock::remove_stale() {
  auto before = again([&] { return fs_.status_at(folder_, name_); });
  if (!before) {
    if (before.error().kind() == ErrorKind::not_found) return true;
    return before.error().at("look at the lock file", name_);
  }
  const auto newest = std::max(before->identity.mtime_ns, before->identity.ctime_ns);
  if (!S_ISREG(before->mode) || clock_.realtime_ns() - newest < kStaleAgeMs * 1'000'000) return false;
  auto gone = owner_is_gone();
  if (!gone || !*gone) return gone;
  auto now = again([&] { return fs_.status_at(folder_, name_); });
  if (!now || now->identity != before->identity) return false;
  auto removed = remove_if_present(fs_, folder_, name_);
  return removed.has_value();  // a lock that may not be removed (sticky folder) is a lock that is held
}

/// What the file says: "pid", "pid@host", or nothing that names a process; then only its age speaks.
Result<bool> DirectDotlock::owner_is_gone() {
  auto fd = again([&] { return fs_.open_at(folder_, name_, O_RDONLY | O_NONBLOCK, 0); });
  if (!fd) return false;
  std::array<char, 300> buffer{};
  auto got = read_up_to(fs_, fd->get(), buffer, 0);
  if (!got) return got.error().at("read the lock file", name_);
  const auto text =
      base::trim(std::string_view{buffer.data(), std::min(*got, std::string_view{buffer.data(), *got}.find('\n'))});
  const auto at = text.find('@');
  if (at != std::string_view::npos && text.substr(at + 1) != fs_.host_name()) return false;
  const auto pid = base::parse_decimal(text.substr(0, at));
  // Our own number in a file that nobody has touched for so long: an earlier process had it, as process 1 of a container has.
  return !pid || *pid == 0 || *pid == static_cast<std::uint64_t>(::getpid()) || !fs_.process_exists(static_cast<std::int64_t>(*pid));
}

Status DirectDotlock::touch() {
  if (!fd_.valid()) return {};
  const auto now = clock_.realtime_ns();
  return again([&] { return fs_.set_times(fd_.get(), now, now); });
}

Status DirectDotlock::unlock() {
  if (!fd_.valid()) return {};
  fd_.reset();
  auto now = again([&] { return fs_.status_at(folder_, name_); });
  if (!now) {
    if (now.error().kind() == ErrorKind::not_found) return {};
    return now.error().at("look at the lock file", name_);
  }
  if (!now->same_file(made_)) return {};  // broken by somebody and taken anew: not ours
  auto removed = remove_if_present(fs_, folder_, name_);
  if (!removed) return removed.error().at("remove the lock file", name_);
  return {};
}

}  // namespace qpop::files
