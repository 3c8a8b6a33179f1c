// SPDX-License-Identifier: MIT
// The lock file, made and removed directly.
#include "common/files/dotlock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "common/base/text.h"
#include "common/files/io.h"

namespace qpop::files {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;

namespace {

enum class Owner : std::uint8_t { gone, maybe_gone, alive };

/// What the file says: "PID", "PID@host", "PID:host", or nothing that names a process; then only its age speaks.
Result<Owner> look_for_owner(FileSystem& fs, int folder, const std::string& name, std::int64_t& named) {
  auto fd = again([&] { return fs.open_at(folder, name, O_RDONLY | O_NONBLOCK, 0); });
  if (!fd) return Owner::alive;
  std::array<char, 600> buffer{};
  auto got = read_up_to(fs, fd->get(), buffer, 0);
  if (!got) return got.error().at("read the lock file", name);
  const std::string_view all{buffer.data(), *got};
  const auto first_end = std::min(all.size(), all.find('\n'));
  const auto text = base::trim(all.substr(0, first_end));
  const auto at = text.find_first_of("@:");
  if (at != std::string_view::npos && text.substr(at + 1) != fs.host_name()) return Owner::alive;
  const auto pid = base::parse_decimal(text.substr(0, at));
  // No process has a number that the system's type does not hold.
  if (pid && *pid <= static_cast<std::uint64_t>(std::numeric_limits<pid_t>::max())) named = static_cast<std::int64_t>(*pid);
  const bool exists = named > 0 && fs.process_exists(named);
  // Our own lines end with a line end; without it the file may have been cut.
  const auto second = all.substr(std::min(all.size(), first_end + 1));
  const auto boot = fs.boot_name();
  const std::string of_this_host = fmt::format("popper {} ", fs.host_name());
  if (pid && !boot.empty() && second.starts_with(of_this_host) && second.ends_with('\n')) {
    const auto theirs = second.substr(of_this_host.size(), second.size() - of_this_host.size() - 1);
    if (theirs == boot && !exists) return Owner::gone;
    if (theirs.substr(0, theirs.find(' ')) != boot.substr(0, boot.find(' '))) return Owner::gone;
    if (theirs != boot) return Owner::maybe_gone;  // a number of another space says nothing here
  }
  // Our own number in a file that nobody has touched for so long: an earlier process had it, as process 1 of a container
  // has.
  const bool ours = pid && *pid == static_cast<std::uint64_t>(::getpid());
  return exists && !ours ? Owner::alive : Owner::maybe_gone;
}

}  // namespace

Result<LockState> look_at_lock(FileSystem& fs, std::int64_t now_ns, int folder, const std::string& name) {
  auto status = again([&] { return fs.status_at(folder, name); });
  if (!status) return status.error().at("look at the lock file", name);
  LockState out{.status = *status};
  out.age_ms = (now_ns - std::max(status->identity.mtime_ns, status->identity.ctime_ns)) / 1'000'000;
  if (!S_ISREG(status->mode)) return out;
  auto owner = look_for_owner(fs, folder, name, out.pid);
  if (!owner) return owner.error();
  out.stale = *owner == Owner::gone || (*owner == Owner::maybe_gone && out.age_ms >= kStaleAgeMs);
  return out;
}

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
  static_cast<void>(write_all(fs_, fd->get(), content(), 0));
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

Result<bool> DirectDotlock::create_with_content(const std::string& text) {
  auto fd = again([&] { return fs_.unnamed_file(folder_, 0600); });
  if (!fd) return fd.error();
  static_cast<void>(write_all(fs_, fd->get(), text, 0));
  auto named = again([&] { return fs_.name_file(fd->get(), folder_, name_); });
  if (!named && named.error().errno_value() == EEXIST) return false;
  if (!named) return named.error();
  return keep(std::move(*fd));
}

Result<bool> DirectDotlock::create() {
  if (creation_ == LockCreation::link) return create_by_link();
  const auto text = content();
  // Who is killed between open(2) and write(2) of a file with a name leaves it empty, and an empty lock file is judged by
  // its age alone. So it gets its name last, where the file system can.
  if (auto made = create_with_content(text)) return made;
  auto fd = again([&] { return fs_.open_at(folder_, name_, O_WRONLY | O_CREAT | O_EXCL, 0600); });
  if (!fd) {
    if (fd.error().errno_value() == EEXIST) return false;
    return fd.error().at("make the lock file", name_);
  }
  // The name alone is the lock; without its content it can only not be judged stale by pid. So a full disk is no reason
  // to fail.
  static_cast<void>(write_all(fs_, fd->get(), text, 0));
  return keep(std::move(*fd));
}

Result<bool> DirectDotlock::keep(UniqueFd fd) {
  auto status = again([&] { return fs_.status(fd.get()); });
  if (!status) {
    static_cast<void>(remove_if_present(fs_, folder_, name_));
    return status.error().at("make the lock file", name_);
  }
  made_ = *status;
  fd_ = std::move(fd);
  return true;
}

Result<bool> DirectDotlock::remove_stale() {
  auto before = look_at_lock(fs_, clock_.realtime_ns(), folder_, name_);
  if (!before && before.error().kind() == ErrorKind::not_found) return true;
  if (!before) return before.error();
  if (!before->stale) return false;
  auto now = again([&] { return fs_.status_at(folder_, name_); });
  if (!now || now->identity != before->status.identity) return false;
  auto removed = remove_if_present(fs_, folder_, name_);
  return removed.has_value();  // a lock that may not be removed (sticky folder) is a lock that is held
}

std::string DirectDotlock::content() {
  const auto boot = fs_.boot_name();
  if (boot.empty()) return fmt::format("{}\n", ::getpid());
  return fmt::format("{}\npopper {} {}\n", ::getpid(), fs_.host_name(), boot);
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
