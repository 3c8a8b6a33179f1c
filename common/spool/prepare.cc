// SPDX-License-Identifier: MIT
// Before a session: mail that has to come in, mail that has to go.
#include "common/spool/prepare.h"

#include <fmt/format.h>

#include "common/spool/deferred.h"
#include "common/spool/expire.h"
#include "common/spool/recovery.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;

struct Work {
  std::vector<LeftOver> drops;
  bool bulletins = false;
  bool expiry = false;
  bool compaction = false;
  [[nodiscard]] bool needed() const { return !drops.empty() || bulletins || expiry; }
  [[nodiscard]] bool any() const { return needed() || compaction; }
};

/// Mail that is put in front of the other would move what is hidden, so that it is removed before.
bool wants_compaction(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings, const Expunged& expunged, const Work& work) {
  if (!settings.expunge.compacts) return false;
  if (!work.drops.empty()) return true;
  auto status = again([&] { return context.fs.status_at(paths.spool_folder_fd, paths.spool_name); });
  return status && is_due(context, settings.expunge, expunged, 0, status->identity.size);
}

Result<Work> find_work(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings, const Expunged& expunged, bool has_spool,
                       Warnings& warnings) {
  Work work;
  for (const auto& drop : settings.temporary_drops) {
    auto left = has_mail(context, paths, drop, warnings);
    if (!left) return left.error();
    if (*left) work.drops.push_back(drop);
  }
  work.bulletins = !settings.bulletins.empty();
  // An update that does not know what is hidden would bring it back.
  work.expiry = !expunged.unreadable && settings.expire_days >= 0 && has_spool && expiry_is_due(context, paths);
  if (has_spool && !expunged.empty()) work.compaction = wants_compaction(context, paths, settings, expunged, work);
  return work;
}

/// What is hidden leaves the spool. What fails leaves it hidden, for the next time; unless a journal stands.
Status compact_now(const Context& context, const MaildropPaths& paths, MailLock& lock, const Expunged& expunged, OpenedMaildrop& out) {
  auto compacted = compact(context, paths, lock, expunged, out.warnings);
  if (compacted) {
    out.compacted = *compacted;
    return {};
  }
  const auto stands = exists(context.fs, paths.state_folder_fd, kJournalName);
  if (!stands || *stands) return compacted.error().at("remove deleted messages from the spool");
  out.warnings.push_back(fmt::format("remove deleted messages from the spool: {}; they stay hidden", compacted.error().message()));
  return {};
}

/// After an update: what was hidden is gone, and may not be looked for in what stands in its place.
Expunged read_again(const Context& context, const MaildropPaths& paths) {
  auto expunged = load_expunged(context, paths.state_folder_fd);
  return expunged ? std::move(*expunged) : Expunged{.unreadable = true};
}

Status take_all(const Context& context, const MaildropPaths& paths, MailLock& lock, const std::vector<LeftOver>& drops, OpenedMaildrop& out) {
  // Each goes in front of what is there; the first of them is the newest place.
  for (const auto& drop : drops) {
    auto taken = take_over(context, paths, lock, drop, out.warnings);
    if (!taken) return taken.error();
    if (taken->held == 0) continue;
    out.warnings.push_back(fmt::format("{} messages of the left-over temporary drop {} were taken over{}{}", taken->held, drop.name,
                                       taken->appended == taken->held ? "" : fmt::format(", {} of them had been in the spool already", taken->held - taken->appended),
                                       taken->in_order ? "" : "; they stand behind the others"));
  }
  return {};
}

}  // namespace

Status prepare_spool(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings, Expunged& expunged,
                     OpenedMaildrop& out) {
  auto spool_there = exists(context.fs, paths.spool_folder_fd, paths.spool_name);
  if (!spool_there) return spool_there.error();
  auto work = find_work(context, paths, settings, expunged, *spool_there, out.warnings);
  if (!work) return work.error();
  if (!work->any()) return {};
  if (!*spool_there) {
    auto made = make_spool(context.fs, paths);
    if (!made && !work->drops.empty()) return made.error().at("make a spool for the mail of the temporary drop");
    if (!made) {
      out.warnings.push_back(fmt::format("bulletins: {}; the next login tries again", made.error().at("make a spool").message()));
      return {};
    }
  }
  // For a rewrite alone nobody waits: it can be made another time.
  auto lock = MailLock::acquire(context, paths, settings.locks, work->needed() ? settings.open_timeout_ms : 0, out.warnings);
  if (!lock && !work->needed() && lock.error().kind() == ErrorKind::busy) return {};
  if (!lock) return lock.error();
  // Somebody may have died over it since we looked.
  auto recovered = recover_locked(context, paths, *lock, out.warnings);
  if (!recovered) return recovered.error();
  if (*recovered != Recovery::nothing) {
    out.recovery = *recovered;
    expunged = read_again(context, paths);
  }
  lock->take_lease();
  if (work->compaction && !expunged.empty()) {
    if (auto done = compact_now(context, paths, *lock, expunged, out); !done) return done;
    expunged = read_again(context, paths);
  }
  if (auto taken = take_all(context, paths, *lock, work->drops, out); !taken) return taken;
  if (work->expiry && !expunged.unreadable) {
    auto expired = expire(context, paths, *lock, {.days = settings.expire_days, .keep_first = settings.hide_internal, .expunged = expunged}, out.warnings);
    if (!expired) return expired.error().at("expire");
    out.expired = *expired;
  }
  if (work->bulletins) {
    auto before = size_of(context.fs, lock->fd());
    if (!before) return before.error();
    auto appended = append_messages(context, paths, *lock, settings.bulletins);
    out.bulletins_delivered = appended.has_value();
    const auto after = size_of(context.fs, lock->fd());
    // A part of a bulletin is there: nobody may see it, and the next try writes the rest.
    if (!appended && (!after || *after != *before)) return appended.error().at("append bulletins");
    if (!appended) out.warnings.push_back(fmt::format("bulletins: {}; the next login tries again", appended.error().message()));
  }
  return {};
}

Status check_login_delay(const Context& context, const MaildropPaths& paths, std::uint32_t delay_s) {
  if (delay_s == 0) return {};
  auto status = again([&] { return context.fs.status_at(paths.state_folder_fd, kLoginName); });
  if (!status) return {};
  const auto passed = (context.clock.realtime_ns() - status->identity.mtime_ns) / 1'000'000'000;
  if (passed < 0 || passed >= delay_s) return {};
  return Error{ErrorKind::busy, fmt::format("{}the last login was {} s ago, LOGIN-DELAY is {} s", kTooEarly, passed, delay_s)};
}

}  // namespace qpop::spool
