// SPDX-License-Identifier: MIT
// The update of a spool: in place, same inode, under a redo journal.
//
// M is the spool, F the first deleted octet, S its size, T the kept octets behind F, N = F + T the new size, J the
// journal.
//  0. A long update: what is deleted stands in the file `expunged` already, durably, and the client has its answer (maildrop.cc).
//  1. The mail locks are held and the listing was checked against M (maildrop.cc). What is about to be deleted, and
//  what follows it,
//     is looked at once more: the head of each such message must hash as recorded. A difference ends here; M is
//     untouched.
//  2. T = 0 (everything, or a tail of the messages): M must still be S long; ftruncate(M, F), fsync(M). That is the
//  commit point: one
//     inode update, a crash shows all or nothing of it, no space is needed. Where `expunged` stands: under a journal of no octets.
//  3. Otherwise a journal J is written (journal.h): with the kept octets, space for all of it first, so that a full disk
//     ends here with M untouched; or, where they fit into the first gap or the disk is full, without them. fsync. A crash
//     leaves a file that nobody believes.
//  4. J gets its name, fsync of the folder: the commit point. A crash in between leaves J or not; its content is durable
//     either way, so recovery either redoes the whole update or finds nothing. Should the folder not be synced, the name
//     is taken back and the update has failed; M is untouched.
//  5. recovery.cc, carry_out(): move, sync, look at the size again, cut, sync, drop J. A crash anywhere in there is
//     state U or T. An error leaves J; the caller says that the update failed, recovery will finish it. Mail that was
//     appended behind S by a program without locks is carried along.
//  6. Times and index: M's times are set so that a later write cannot leave the same ones, and mailers see "new mail"
//     as before. Both are conveniences; what fails here is a warning. A crash: the next open scans.
//
// Messages that the session retrieved get "Status: RO" when they move (read_marks.h), where the room that the deletion leaves is
// enough for it. On a full disk, and where the end is repaired, they move as they are.
//
// A last message that does not end as a message must (no line end, no empty line, no closing MMDF separator) gets what
// is missing when it moves, so that mail appended later is not glued to it. It fits: less is added than the smallest
// message is long. On a full disk it moves as it is.
#include "common/spool/update.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/mbox/scanner.h"
#include "common/mbox/unique_id.h"
#include "common/spool/expunged.h"
#include "common/spool/journal.h"
#include "common/spool/read_marks.h"
#include "common/spool/recovery.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using listing::Record;
using listing::SpoolFormat;

/// How far back the new modification time lies: far enough for the next open to trust it at once (is_young()).
constexpr std::int64_t kBackNs = 100'000'000;

bool is_deleted(const std::vector<bool>& deleted, std::size_t i) {
  return i < deleted.size() && deleted[i];
}

std::uint64_t unit_end(const SpoolListing& listing, std::size_t i) {
  return i + 1 < listing.records.size() ? listing.records[i + 1].offset : listing.header.end;
}

/// Step 1.
Status check_heads(const Context& context, MailLock& lock, const SpoolListing& listing,
                   const std::vector<bool>& deleted) {
  std::array<char, listing::kHeadSpan> buffer{};
  for (std::size_t i = 0; i < listing.records.size(); ++i) {
    if (!is_deleted(deleted, i) && (i == 0 || !is_deleted(deleted, i - 1))) continue;
    const Record& record = listing.records[i];
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), unit_end(listing, i) - record.offset));
    if (auto read = read_exactly(context.fs, lock.fd(), std::span{buffer}.first(size), record.offset); !read)
      return read;
    if (digest::xxh3_64({buffer.data(), size}) != record.head_hash) {
      return Error{ErrorKind::changed,
                   fmt::format("message {} does not stand at octet {} any more", i + 1, record.offset)};
    }
    lock.refresh();
  }
  return {};
}

/// Step 2. The folder first: the removal of an earlier journal may not be durable, and that journal, back after a power
/// loss, would not know the spool again.
Status cut_only(const Context& context, const MaildropPaths& paths, MailLock& lock, const UpdatePlan& plan) {
  auto named = again([&] { return context.fs.sync_directory(paths.state_folder_fd); });
  if (!named) return named.error().at("sync the state folder");
  auto status = again([&] { return context.fs.status(lock.fd()); });
  if (!status) return status.error();
  if (status->identity.size != plan.old_size)
    return Error{ErrorKind::changed, "the spool grew without its locks being taken"};
  if (auto cut = again([&] { return context.fs.truncate(lock.fd(), plan.first); }); !cut)
    return cut.error().at("cut the spool");
  auto synced = again([&] { return context.fs.sync(lock.fd()); });
  if (synced) return {};
  // Whatever the errno: no caller may conclude that nothing was touched.
  return Error{ErrorKind::io, fmt::format("sync the spool behind the cut: {}", synced.error().message())};
}

/// What the last message lacks at its end, deleted or not.
Result<std::string> missing_at_end(const Context& context, MailLock& lock, const SpoolListing& listing) {
  return missing_end(context.fs, lock.fd(), listing.header.end, listing.header.format, listing.records.back().trailer);
}

/// Step 2 with a journal of no octets: where the file `expunged` stands it makes sure that the file goes exactly when the messages do
/// (recovery.cc). Without room for it the cut is made at once, and the file goes afterwards.
Status cut_with_journal(const Context& context, const MaildropPaths& paths, MailLock& lock, const SpoolListing& listing, const UpdatePlan& plan,
                        const std::function<void(std::uint64_t)>& committed, Warnings& warnings) {
  auto missing = missing_at_end(context, lock, listing);
  if (!missing) return missing.error();
  JournalPlan journal_plan{.first = plan.first, .old_size = plan.old_size, .format = listing.header.format, .open_end = !missing->empty()};
  journal_plan.parts.emplace_back();
  auto journal = commit_journal(context, paths, lock, journal_plan, nullptr);
  if (!journal && journal.error().kind() == ErrorKind::no_space) {
    if (auto cut = cut_only(context, paths, lock, plan); !cut) return cut;
    committed(0);
    if (auto removed = remove_expunged(context, paths.state_folder_fd); !removed)
      warnings.push_back(fmt::format("forget which messages were deleted: {}", removed.error().message()));
    return {};
  }
  if (!journal) return journal.error();
  committed(plan.old_size - plan.first);
  auto done = carry_out(context, paths, lock, std::move(*journal), warnings);
  return done ? Status{} : Status{done.error().at("the journal stands, recovery will finish the update")};
}

/// Of what the last message lacks, what is added to it: nothing when it was deleted, or when there is no room.
std::string padding_for(const UpdatePlan& plan, const std::string& missing) {
  const Range& last = plan.tail.back();
  const bool kept = last.offset + last.length == plan.old_size;
  return kept && plan.first + plan.tail_size + missing.size() <= plan.old_size ? missing : std::string{};
}

/// What is done with the octets behind F.
struct Tail {
  bool open_end = false;            ///< the last message lacks something at its end, whether or not it is deleted
  std::string padding{};            ///< what is added there
  std::vector<ReadMark> marks{};    ///< none, where there is no room for them
  [[nodiscard]] std::uint64_t added() const { return growth_of(marks) + padding.size(); }
};

/// Steps 3 to 5. Result: size of the spool.
Result<std::uint64_t> move_tail(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                const SpoolListing& listing, const UpdatePlan& plan, Tail& tail,
                                const std::function<void(std::uint64_t)>& committed, Warnings& warnings) {
  const auto& padding = tail.padding;
  JournalPlan journal_plan{.first = plan.first,
                                 .old_size = plan.old_size,
                                 .format = listing.header.format,
                                 .open_end = tail.open_end,
                                 .kept = plan.tail,
                                 .padding = padding};
  if (!tail.marks.empty()) {
    journal_plan.kept.clear();
    journal_plan.parts = parts_with_marks(plan, tail.marks, lock.fd());
  }
  auto journal = commit_journal(context, paths, lock, journal_plan, nullptr);
  if (!journal && journal.error().kind() == ErrorKind::no_space && !tail.marks.empty()) {
    tail.marks.clear();
    journal_plan.parts.clear();
    journal_plan.kept = plan.tail;
    journal = commit_journal(context, paths, lock, journal_plan, nullptr);
  }
  if (!journal) return journal.error();
  committed(plan.tail_size);
  auto done = carry_out(context, paths, lock, std::move(*journal), warnings);
  if (!done) return done.error().at("the journal stands, recovery will finish the update");
  return done;
}

/// The record of a last message whose end was repaired.
Result<Record> scan_last(const Context& context, MailLock& lock, const Record& before, SpoolFormat format,
                         std::uint64_t end) {
  mbox::Scanner scanner{{.offset = before.offset, .format = format}};
  auto fed = for_each_piece(context.fs, lock.fd(), before.offset, end,
                            [&](std::string_view piece) { return scanner.feed(piece); });
  if (!fed) return fed.error();
  auto found = scanner.finish();
  if (!found) return found.error();
  if (found->records.size() != 1) return Error{ErrorKind::changed, "the last message is not one message"};
  Record record = found->records.front();
  mbox::set_unique_id(record, before.unique_id());
  return record;
}

/// Step 6, times. Mailers take "modified after it was read" for new mail; that must be as true as before.
Status set_times(const Context& context, MailLock& lock, const FileStatus& before) {
  const std::int64_t mtime = std::max(before.identity.mtime_ns + 1000, context.clock.realtime_ns() - kBackNs);
  const bool new_mail = before.identity.mtime_ns > before.atime_ns;
  const std::int64_t atime = new_mail ? before.atime_ns : std::max(before.atime_ns, mtime);
  return again([&] { return context.fs.set_times(lock.fd(), atime, mtime); });
}

/// Step 6, index.
Status rewrite_index(const Context& context, const MaildropPaths& paths, MailLock& lock, const SpoolListing& before,
                     UpdatePlan plan, std::uint64_t size, const Tail& tail, Warnings& warnings) {
  auto status = again([&] { return context.fs.status(lock.fd()); });
  if (!status) return status.error();
  // Mail came without locks: an index that does not know it must not name this spool.
  if (status->identity.size != size) return {};
  SpoolListing after;
  after.records = std::move(plan.kept);
  after.header.end = status->identity.size;
  after.header.spool = status->identity;
  after.header.format = after.records.empty() ? SpoolFormat::empty : before.header.format;
  if (auto marked = apply_to_records(context, lock, tail.marks, size, after.records); !marked) return marked;
  if (!tail.padding.empty()) {
    auto last = scan_last(context, lock, after.records.back(), before.header.format, after.header.end);
    if (!last) return last.error();
    after.records.back() = *last;
  }
  auto hash = tail_hash(context.fs, lock.fd(), after.header.end);
  if (!hash) return hash.error();
  after.header.tail_hash = *hash;
  after.header.young = is_young(status->identity, context.clock.realtime_ns()) ? 1 : 0;
  auto written = write_index(context, paths.state_folder_fd, after, warnings);
  return written ? Status{} : Status{written.error()};
}

}  // namespace

UpdatePlan plan_update(const SpoolListing& listing, const std::vector<bool>& deleted) {
  UpdatePlan plan;
  plan.old_size = listing.header.end;
  std::uint64_t removed = 0;
  for (std::size_t i = 0; i < listing.records.size(); ++i) {
    const std::uint64_t offset = listing.records[i].offset;
    const std::uint64_t length = unit_end(listing, i) - offset;
    if (is_deleted(deleted, i)) {
      if (removed == 0) plan.first = offset;
      removed += length;
      continue;
    }
    plan.kept.push_back(listing.records[i]);
    plan.kept.back().offset -= removed;
    if (removed == 0) continue;
    plan.tail_size += length;
    if (!plan.tail.empty() && plan.tail.back().offset + plan.tail.back().length == offset) {
      plan.tail.back().length += length;
    } else {
      plan.tail.push_back({.offset = offset, .length = length});
    }
  }
  return plan;
}

Status apply_update(const Context& context, const MaildropPaths& paths, MailLock& lock, const SpoolListing& listing,
                    const Marks& marks, const std::function<void(std::uint64_t)>& committed, Warnings& warnings) {
  if (auto same = check_heads(context, lock, listing, marks.deleted); !same) return same;
  auto before = again([&] { return context.fs.status(lock.fd()); });
  if (!before) return before.error();
  const UpdatePlan plan = plan_update(listing, marks.deleted);
  Tail tail;
  std::uint64_t size = plan.first;
  if (plan.tail.empty() && marks.expunged_stands) {
    if (auto cut = cut_with_journal(context, paths, lock, listing, plan, committed, warnings); !cut) return cut;
  } else if (plan.tail.empty()) {
    if (auto cut = cut_only(context, paths, lock, plan); !cut) return cut;
    committed(0);
  } else {
    const auto missing = missing_at_end(context, lock, listing);
    if (!missing) return missing.error();
    tail.open_end = !missing->empty();
    tail.padding = padding_for(plan, *missing);
    if (!marks.retrieved.empty() && tail.padding.empty()) {
      auto planned = plan_read_marks(context, lock, listing, marks.deleted, marks.retrieved, plan);
      if (!planned) return planned.error();
      tail.marks = std::move(*planned);
    }
    auto moved = move_tail(context, paths, lock, listing, plan, tail, committed, warnings);
    if (!moved) return moved.error();
    size = *moved;
  }
  if (auto set = set_times(context, lock, *before); !set)
    warnings.push_back(fmt::format("set times: {}", set.error().message()));
  // Mail that came without locks is in the spool but not in the plan: the next open scans.
  if (size != plan.first + plan.tail_size + tail.added()) return {};
  if (auto index = rewrite_index(context, paths, lock, listing, plan, size, tail, warnings); !index) {
    warnings.push_back(
        fmt::format("rewrite the index: {}; the maildrop is scanned next time", index.error().message()));
  }
  return {};
}

}  // namespace qpop::spool
