// SPDX-License-Identifier: MIT
// Open, update, recover: the order of locks, checks and scans.
#include "common/spool/maildrop.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <utility>

#include "common/mbox/header_field.h"
#include "common/spool/deferred.h"
#include "common/spool/locks.h"
#include "common/spool/naming.h"
#include "common/spool/prepare.h"
#include "common/spool/spool_file.h"
#include "common/spool/stride_journal.h"
#include "common/spool/update.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;

/// The listing that the session had may come from an index that nobody compared. What it showed of a damaged one is not what was asked for.
Status check_listing(const Context& context, const MaildropPaths& paths, const UpdateRequest& request) {
  auto reader = listing::ListingReader::open(request.listing_fd);
  if (!reader) return {};  // who needs one will say so
  auto sound = records_are_sound(context, request.listing_fd, reader->header());
  if (!sound) return sound.error().at("compare the listing of the session");
  if (*sound) return {};
  static_cast<void>(remove_if_present(context.fs, paths.state_folder_fd, kIndexName));
  return Error{ErrorKind::changed, "the index was damaged, and the session may have shown wrong messages"};
}

bool is_absent(const Error& error) {
  return error.kind() == ErrorKind::not_found;
}

/// Is there something to recover, and a spool to lock for it?
Result<bool> needs_recovery(const Context& context, const MaildropPaths& paths) {
  auto journal = exists(context.fs, paths.state_folder_fd, kJournalName);
  if (!journal) return journal;
  auto remains = *journal ? journal : exists(context.fs, paths.state_folder_fd, kJournalTemporaryName);
  if (!remains || !*remains) return remains;
  auto spool = exists(context.fs, paths.spool_folder_fd, paths.spool_name);
  if (!spool || *spool) return spool;
  if (!*journal) return false;  // an unfinished one and no spool: no harm, and no lock to remove it under
  // A journal stands but the spool is gone: its kept messages need a place. Recovery does the rest.
  auto made = make_spool(context.fs, paths);
  if (!made) return made.error().at("make a spool for the messages of the journal");
  return true;
}

Result<Recovery> recover(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings,
                         Warnings& warnings) {
  auto needed = needs_recovery(context, paths);
  if (!needed && needed.error().kind() == ErrorKind::denied) {
    // Usual where only the delivery agent may make spools; it will, and the journal waits for that.
    warnings.push_back(fmt::format("{}; the next delivery makes one", needed.error().message()));
    return Recovery::nothing;
  }
  if (!needed) return needed.error().at("look for a journal");
  if (!*needed) return Recovery::nothing;
  auto lock = MailLock::acquire(context, paths, settings.locks, settings.open_timeout_ms, warnings);
  if (!lock) return lock.error().at("recover", paths.spool_name);
  lock->take_lease();
  auto outcome = recover_locked(context, paths, *lock, warnings);
  if (!outcome) return outcome.error().at("recover", paths.spool_name);
  return outcome;
}

/// The spool as the session reads it. Empty: no mail.
Result<std::optional<UniqueFd>> open_for_reading(const Context& context, const MaildropPaths& paths,
                                                 FileStatus& status) {
  auto fd = open_spool(context.fs, paths, O_RDONLY);
  if (!fd && is_absent(fd.error())) return std::optional<UniqueFd>{};
  if (!fd) return fd.error();
  auto opened = again([&] { return context.fs.status(fd->get()); });
  if (!opened) return opened.error();
  if (opened->identity.size == 0) return std::optional<UniqueFd>{};
  status = *opened;
  return std::optional<UniqueFd>{std::move(*fd)};
}

Status fill_without_mail(const Context& context, const MaildropPaths& paths, const Expunged& expunged, OpenedMaildrop& out) {
  note_first_sight(context, paths);
  forget_void(context, paths.state_folder_fd, expunged, {});
  SpoolListing nothing;
  auto listing = memory_listing(context, nothing);
  if (!listing) return listing.error();
  out.listing = std::move(*listing);
  return {};
}

/// What was deleted and is still in the spool gets a descriptor of its own beside the listing. `records`: all messages.
Status hide(const Context& context, const MaildropPaths& paths, const Expunged& expunged, std::span<const listing::Record> records,
            std::uint64_t end, OpenedMaildrop& out) {
  const auto hidden = find_hidden(expunged, records, end);
  forget_void(context, paths.state_folder_fd, expunged, hidden);
  if (hidden.empty()) return {};
  auto fd = again([&] { return context.fs.memory_file(); });
  Status done = fd ? write_all(context.fs, fd->get(), listing::encode_hidden(hidden.messages), 0) : Status{fd.error()};
  if (done) done = again([&] { return context.fs.seal(fd->get()); });
  if (!done) return done.error().at("note which messages are deleted");
  out.hidden = std::move(*fd);
  out.hidden_count = static_cast<std::uint32_t>(hidden.messages.numbers.size());
  return {};
}

/// The maildrop is what a sound index says.
Result<bool> use_index(const Context& context, const MaildropPaths& paths, const Expunged& expunged, UsableIndex index, UniqueFd spool, OpenedMaildrop& out) {
  if (expunged.there) {
    // Their hash was looked at when it was opened.
    auto reader = listing::ListingReader::open(index.fd.get());
    std::vector<listing::Record> records(reader ? reader->count() : 0);
    if (!reader || !reader->records(0, records)) return false;
    if (auto done = hide(context, paths, expunged, records, index.header.end, out); !done) return done.error();
  }
  out.spool = std::move(spool);
  out.listing = std::move(index.fd);
  out.count = static_cast<std::uint32_t>(index.header.count);
  out.octets = index.header.total_octets;
  out.octets_scanned = index.octets_scanned;
  return true;
}

/// Unchanged since the index was written, before and after it was read: no lock, no scan.
Result<bool> fill_from_index(const Context& context, const MaildropPaths& paths, UniqueFd& spool,
                             const FileStatus& status, const Expunged& expunged, OpenedMaildrop& out) {
  auto index = open_index(context, paths.state_folder_fd, status.identity, expunged.there);
  if (!index) return false;
  auto after = again([&] { return context.fs.status(spool.get()); });
  if (!after) return after.error();
  if (after->identity != status.identity) return false;
  return use_index(context, paths, expunged, std::move(*index), std::move(spool), out);
}

/// The spool that was listed, opened for the session.
Result<UniqueFd> open_listed(const Context& context, const MaildropPaths& paths, const listing::SpoolIdentity& listed) {
  FileStatus status;
  auto reader = open_for_reading(context, paths, status);
  if (!reader) return reader.error();
  if (!reader->has_value() || status.identity.inode != listed.inode || status.identity.device != listed.device) {
    return Error{ErrorKind::changed, "the spool was replaced while it was locked"};
  }
  return std::move(**reader);
}

/// Mail was only appended.
Result<bool> fill_from_growth(const Context& context, const MaildropPaths& paths, MailLock& lock, const Expunged& expunged, OpenedMaildrop& out) {
  auto index = grow_index(context, paths, lock);
  if (!index) return false;
  auto spool = open_listed(context, paths, index->header.spool);
  if (!spool) return spool.error();
  out.source = ListingSource::grown;
  return use_index(context, paths, expunged, std::move(*index), std::move(*spool), out);
}

Status fill_from_scan(const Context& context, const MaildropPaths& paths, MailLock& lock, const Expunged& expunged, OpenedMaildrop& out) {
  auto followed = fill_from_growth(context, paths, lock, expunged, out);
  if (!followed) return followed.error();
  if (*followed) return {};
  auto listing = list_spool(context, paths, lock);
  if (!listing) return listing.error();
  auto written = write_index(context, paths.state_folder_fd, *listing, out.warnings);
  if (!written) return written.error();
  if (listing->header.end > 0) {
    auto spool = open_listed(context, paths, listing->header.spool);
    if (!spool) return spool.error();
    out.spool = std::move(*spool);
  }
  if (auto done = hide(context, paths, expunged, listing->records, listing->header.end, out); !done) return done;
  out.listing = std::move(*written);
  out.count = static_cast<std::uint32_t>(listing->header.count);
  out.octets = listing->header.total_octets;
  out.source = listing->source;
  out.octets_scanned = listing->octets_scanned;
  return {};
}

Status fill(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings, const Expunged& expunged,
            OpenedMaildrop& out) {
  FileStatus status;
  auto spool = open_for_reading(context, paths, status);
  // Busy: an update has a lease on it; the locks wait for that.
  if (!spool && spool.error().kind() != ErrorKind::busy) return spool.error();
  if (spool && !spool->has_value()) return fill_without_mail(context, paths, expunged, out);
  if (spool) {
    auto unchanged = fill_from_index(context, paths, **spool, status, expunged, out);
    if (!unchanged) return unchanged.error();
    if (*unchanged) return {};
  }
  auto lock = MailLock::acquire(context, paths, settings.locks, settings.open_timeout_ms, out.warnings);
  if (!lock && is_absent(lock.error())) return fill_without_mail(context, paths, expunged, out);
  if (!lock) return lock.error();
  return fill_from_scan(context, paths, *lock, expunged, out);
}

/// Are the first `count` records of the spool those the session saw?
bool is_as_seen(const SpoolListing& listing, const UpdateRequest& request) {
  const std::span<const listing::Record> records{listing.records};
  return records.size() >= request.count &&
         listing::hash_records(records.first(request.count)) == request.records_hash;
}

/// The marks for a spool that was rewritten since the session opened it: another program removed messages, or added
/// "Status:". A marked message that is gone needs no mark; one of several twins cannot be told from the others.
Result<std::vector<bool>> find_marked(const SpoolListing& listing, const UpdateRequest& request) {
  auto reader = listing::ListingReader::open(request.listing_fd);
  if (!reader) return reader.error();
  if (reader->count() != request.count || reader->header().records_hash != request.records_hash)
    return Error{ErrorKind::changed, "the listing is not that of the session"};
  auto seen = reader->all_records();
  if (!seen) return seen.error();
  struct Twins {
    std::size_t seen = 0, marked = 0, now = 0;
  };
  std::map<digest::Digest16, Twins> twins;
  for (std::size_t i = 0; i < seen->size(); ++i) {
    auto& same = twins[(*seen)[i].digest];
    ++same.seen;
    same.marked += request.deleted[i] ? 1U : 0U;
  }
  for (const auto& record : listing.records) ++twins[record.digest].now;
  std::vector<bool> marks;
  for (const auto& record : listing.records) {
    const auto& same = twins[record.digest];
    marks.push_back(same.marked > 0);
    if (same.marked > 0 && (same.marked < same.seen || same.now > same.seen))
      return Error{ErrorKind::changed, "the spool was rewritten, and equal messages cannot be told apart"};
  }
  return marks;
}

/// What was written down before the spool is touched.
struct WrittenDown {
  bool done = false;      ///< the messages are hidden, and the client can be told
  bool in_doubt = false;  ///< it failed, and may be there all the same
};

void write_down(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings, const UpdateRequest& request,
                bool even_if_due, UpdatedMaildrop& out, WrittenDown& written) {
  bool in_doubt = false;
  auto deferred = defer_deletion(context, paths, settings.expunge, request, even_if_due, in_doubt);
  written.in_doubt = written.in_doubt || in_doubt;
  if (!deferred) out.warnings.push_back(fmt::format("write down what is deleted: {}; the spool is updated instead", deferred.error().message()));
  written.done = deferred && *deferred;
}

void tell_committed(const Context& context, const UpdateRequest& request, std::uint64_t moving) {
  mark_finishing(context, request.session_lock_fd);
  if (request.committed) request.committed(moving);
}

/// `out` tells of a recovery also when the update failed behind it.
Status update_locked(const Context& context, const MaildropPaths& paths, MailLock& lock, const MaildropSettings& settings,
                     const UpdateRequest& request, WrittenDown& written, UpdatedMaildrop& out) {
  auto recovered = recover_locked(context, paths, lock, out.warnings);
  if (!recovered) return recovered.error();
  out.recovery = *recovered;
  if (is_long_update(request)) {
    write_down(context, paths, settings, request, true, out, written);
    if (written.done) tell_committed(context, request, request.long_update);
  }
  auto listing = list_spool(context, paths, lock);
  if (!listing) return listing.error();
  Marks marks{.deleted = request.deleted, .retrieved = request.retrieved};
  if (!is_as_seen(*listing, request)) {
    auto found = find_marked(*listing, request);
    if (!found) return found.error();
    marks = {.deleted = std::move(*found)};
    out.warnings.emplace_back("another program rewrote the spool during the session; the deleted messages were found again");
  }
  out.removed = static_cast<std::uint32_t>(std::ranges::count(marks.deleted, true));
  if (out.removed == 0) return {};
  // Deleted in earlier sessions: they go now. Not knowing them would be to bring them back.
  auto expunged = load_expunged(context, paths.state_folder_fd);
  if (!expunged) return expunged.error().at("read which messages were deleted before");
  marks.expunged_stands = expunged->there;
  mark_hidden(find_hidden(*expunged, listing->records, listing->header.end), marks.deleted);
  lock.take_lease();
  const auto committed = [&](std::uint64_t moving) {
    if (!written.done) tell_committed(context, request, moving);
  };
  return apply_update(context, paths, lock, *listing, marks, committed, out.warnings);
}

Status look_for_internal(const Context& context, OpenedMaildrop& out) {
  if (out.count == 0) return {};
  auto reader = listing::ListingReader::open(out.listing.get());
  auto first = reader ? reader->message(0) : Result<listing::Message>{reader.error()};
  auto header = first ? read_header(context.fs, out.spool.get(), first->record) : Result<std::string>{first.error()};
  if (!header) return header.error();
  out.hidden_first = mbox::is_folder_internal(*header);
  return {};
}

void tell_lost(const MaildropSettings& settings, Recovery recovery, const Warnings& warnings) {
  if (recovery != Recovery::nothing && settings.on_lost_recovery) settings.on_lost_recovery(recovery, warnings);
}

}  // namespace

Result<OpenedMaildrop> open_maildrop(const Context& context, const MaildropPaths& paths,
                                     const MaildropSettings& settings) {
  OpenedMaildrop out;
  auto session = lock_session(context, paths.state_folder_fd, settings.open_timeout_ms);
  if (!session) return session.error();
  if (auto allowed = check_login_delay(context, paths, settings.login_delay_s); !allowed) return allowed.error();
  auto recovered = recover(context, paths, settings, out.warnings);
  if (!recovered) return recovered.error();
  out.recovery = *recovered;
  auto expunged = load_expunged(context, paths.state_folder_fd);
  if (!expunged) {
    out.warnings.push_back(fmt::format("read which messages are deleted: {}; they are seen again", expunged.error().message()));
    expunged = Expunged{.unreadable = true};
  }
  auto filled = prepare_spool(context, paths, settings, *expunged, out);
  if (filled) filled = fill(context, paths, settings, *expunged, out);
  if (filled && settings.hide_internal) filled = look_for_internal(context, out);
  if (!filled) {
    tell_lost(settings, out.recovery, out.warnings);
    return filled.error().at("open", paths.spool_name);
  }
  // While there may be room for it: with a reserve a full disk can still delete mail.
  if (out.count > 0) {
    if (auto ready = prepare_reserve(context, paths.state_folder_fd); !ready)
      out.warnings.push_back(fmt::format("{}; on a full disk deleting mail may fail", ready.error().message()));
  }
  if (settings.login_delay_s > 0) note_time(context, paths, kLoginName);
  out.session_lock = std::move(*session);
  return out;
}

namespace {

/// The update of the spool itself.
Status update_spool(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings, const UpdateRequest& request,
                    WrittenDown& written, UpdatedMaildrop& out) {
  auto lock = MailLock::acquire(context, paths, settings.locks, settings.update_timeout_ms, out.warnings);
  if (!lock && is_absent(lock.error())) return Error{ErrorKind::changed, "the spool is gone"};
  if (!lock) return lock.error();
  auto done = update_locked(context, paths, *lock, settings, request, written, out);
  if (!done) tell_lost(settings, out.recovery, out.warnings);
  return done;
}

/// Written down, the client was told, and that is all.
bool is_deferred(const Context& context, const MaildropPaths& paths, const MaildropSettings& settings, const UpdateRequest& request,
                 bool even_if_due, UpdatedMaildrop& out, WrittenDown& written) {
  write_down(context, paths, settings, request, even_if_due, out, written);
  if (!written.done) return false;
  out.removed = static_cast<std::uint32_t>(std::ranges::count(request.deleted, true));
  if (request.committed) request.committed(0);
  return true;
}

}  // namespace

Result<UpdatedMaildrop> update_maildrop(const Context& context, const MaildropPaths& paths,
                                        const MaildropSettings& settings, const UpdateRequest& request) {
  if (request.deleted.size() != request.count) return Error{ErrorKind::limit, "as many marks as messages are needed"};
  if (auto held = check_session_lock(context, paths.state_folder_fd, request.session_lock_fd); !held)
    return held.error();
  if (std::ranges::find(request.deleted, true) == request.deleted.end()) return UpdatedMaildrop{};
  if (auto sound = check_listing(context, paths, request); !sound) return sound.error().at("update", paths.spool_name);
  UpdatedMaildrop out;
  WrittenDown written;
  const bool defers = settings.expunge.deferred;
  if (defers && is_deferred(context, paths, settings, request, false, out, written)) return out;
  auto done = update_spool(context, paths, settings, request, written, out);
  if (done) return out;
  if (written.done) return done.error().at("the deleted messages are hidden, and the next login tries again; remove them from", paths.spool_name);
  // The rewrite that was due can wait for the other program; the client need not.
  const bool locked = done.error().kind() == ErrorKind::busy;
  if (defers && locked && is_deferred(context, paths, settings, request, true, out, written)) return out;
  if (written.in_doubt) return Error{ErrorKind::io, done.error().message()}.at("update", paths.spool_name);
  return done.error().at("update", paths.spool_name);
}

Result<RecoveredMaildrop> recover_maildrop(const Context& context, const MaildropPaths& paths,
                                           const MaildropSettings& settings) {
  RecoveredMaildrop out;
  auto recovered = recover(context, paths, settings, out.warnings);
  if (!recovered) return recovered.error();
  out.outcome = *recovered;
  auto finished = finish_written_down(context, paths, settings, out.warnings);
  if (!finished) {
    tell_lost(settings, out.outcome, out.warnings);
    return finished.error().at("remove deleted messages from", paths.spool_name);
  }
  if (*finished > 0 && out.outcome == Recovery::nothing) out.outcome = Recovery::redone;
  return out;
}

}  // namespace qpop::spool
