// SPDX-License-Identifier: MIT
// Carrying out a committed update, and recovery.
//
// Carrying out (update.cc and rewrite.cc come here from its commit point, recovery from state U). J is the journal, M the spool, F
// the first deleted octet, S the old size, N the new one.
//  0. A rewrite with N above S, M not yet made longer, and M longer than S: somebody appended. His mail is taken into a
//     new journal behind the octets of J, which takes the place of J in one step. Then M is made N long and [S, N)
//     written and synced before step 1 overwrites anything (data_journal.h).
//  1. The kept octets go to F, from J or from their old place behind. fdatasync(M). A crash leaves sectors of [F, N) old
//     or new in any mixture, and what is needed to redo it as it was: state U. Without the sync the cut could become
//     durable first: M cut, and its moved octets lost, which only J could mend; but state T demands that M holds them.
//  2. M is longer than S: somebody appended without our locks, or after a crash. Now [0, N) is durable, [N, S) is of no
//     use, and mail stands behind S. That is an update of its own, with [N, S) as what is deleted; its journal takes the
//     place of J in one step. A crash before: J as it was, state U with mail behind S. Behind: the new one. Step 1.
//  3. ftruncate(M, N), fsync(M). One inode update: a crash shows S (state U) or N (state T).
//  4. The file `expunged` goes first, durably: what it hides is removed by every update, and what it says of places is not true any
//     more. J loses its name and the folder is synced. A crash may bring J back: state T, or T with mail behind N.
// Errors of the system leave J; whoever comes next starts again at 1.
//
// Recovery. Mail may have been delivered since the crash, by programs that know nothing of J, and the spool may have
// been rewritten by a mail reader. So the state is proven, never guessed:
//  a. No J: nothing. J.tmp: its update never was committed, it is removed.
//  b. J is not whole: it was made whole before it got its name, so M was not touched; J is set aside, not believed.
//  c. The folder is synced: the process may have died between naming J and syncing the folder, and J's name is then
//     known to the page cache alone. Touching M before would leave a half moved M and no J after a power loss.
//  d. State U: M is at least S long, the octets before F hash as recorded, so does what J needs of the rest, and M ends
//     at S, or a message starts at S, or M was recorded not to end like a message (then a delivery cannot start one
//     there, and the other conditions must suffice). Carried out from step 1.
//  e. State T: the octets before F hash as recorded, [F, N) is what it has to be, M ends at N or a message starts at N.
//     M is synced, step 4.
//  f. Anything else: somebody rewrote M. A redo would destroy what they wrote. The kept messages that M lacks are
//     appended (salvage.cc), J becomes saved-<time>. Nothing is lost; mail deleted by others may return. A journal
//     without mail is only set aside.
#include "common/spool/recovery.h"

#include <fmt/format.h>

#include "common/spool/expunged.h"
#include "common/spool/salvage.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;

/// How often a spool may grow under our hands before we leave the journal for later.
constexpr int kMaxRounds = 8;

/// Step 2. Null: nothing was appended.
Result<std::unique_ptr<Journal>> for_surplus(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                             Journal& journal) {
  auto size = size_of(context.fs, lock.fd());
  if (!size) return size.error();
  const JournalHeader& header = journal.header();
  if (*size < header.old_size) return Error{ErrorKind::changed, "the spool was cut by another program"};
  // Nothing between N and S: what follows stands where it has to.
  if (*size == header.old_size || header.new_size >= header.old_size) return std::unique_ptr<Journal>{};
  auto missing = missing_end(context.fs, lock.fd(), *size, header.format, 1);
  if (!missing) return missing.error();
  const JournalPlan plan{.first = header.new_size,
                         .old_size = *size,
                         .format = header.format,
                         .open_end = !missing->empty(),
                         .kept = {{.offset = header.old_size, .length = *size - header.old_size}}};
  return commit_journal(context, paths, lock, plan, &journal);
}

/// Step 0, for a rewrite that makes the spool longer. Null: nothing was appended.
Result<std::unique_ptr<Journal>> for_early_mail(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                                Journal& journal) {
  const JournalHeader& header = journal.header();
  auto grows = journal.must_grow(context, lock);
  if (!grows) return grows.error();
  auto size = *grows ? size_of(context.fs, lock.fd()) : Result<std::uint64_t>{header.old_size};
  if (!size) return size.error();
  if (*size <= header.old_size) return std::unique_ptr<Journal>{};
  const Piece tail = journal.mail();
  auto gap = missing_end(context.fs, tail.fd, tail.offset + tail.length, header.format, 1);
  if (!gap) return gap.error();
  auto missing = missing_end(context.fs, lock.fd(), *size, header.format, 1);
  if (!missing) return missing.error();
  JournalPlan plan{.first = header.first, .old_size = *size, .format = header.format, .open_end = !missing->empty(), .rewrite = true};
  plan.parts.push_back({.octets = tail});
  plan.parts.push_back({.text = *gap});
  plan.parts.push_back({.octets = {.fd = lock.fd(), .offset = header.old_size, .length = *size - header.old_size}});
  return commit_journal(context, paths, lock, plan, &journal);
}

/// Step 4. The update is complete: what fails here leaves a journal that the next open finds in state T.
void drop_journal(const Context& context, const MaildropPaths& paths, Journal& journal, Warnings& warnings) {
  if (auto dropped = journal.drop(context, paths.state_folder_fd); !dropped)
    warnings.push_back(fmt::format("remove the journal: {}", dropped.error().message()));
}

/// A rewrite that has no room to make the spool longer touched nothing: without its journal the spool is what it was. With
/// it nobody could open the maildrop until there is room.
void give_up_without_room(const Context& context, const MaildropPaths& paths, MailLock& lock, Journal& journal,
                          const Error& error, Warnings& warnings) {
  if (error.kind() != ErrorKind::no_space || journal.header().new_size <= journal.header().old_size) return;
  auto size = size_of(context.fs, lock.fd());
  if (!size || *size != journal.header().old_size) return;
  if (auto synced = again([&] { return context.fs.sync(lock.fd()); }); !synced) return;
  drop_journal(context, paths, journal, warnings);
}

Result<Recovery> set_aside(const Context& context, const MaildropPaths& paths, Recovery outcome, std::string_view why,
                           Warnings& warnings) {
  const std::string name = fmt::format("saved-{}", context.clock.realtime_ns());
  auto saved = again([&] { return context.fs.rename_at(paths.state_folder_fd, kJournalName, name); });
  if (saved) saved = again([&] { return context.fs.sync_directory(paths.state_folder_fd); });
  if (!saved) return saved.error().at("set the journal aside");
  warnings.push_back(fmt::format("{}; the journal is kept as {} in the state folder", why, name));
  return outcome;
}

/// Step f.
Result<Recovery> after_a_foreign_rewrite(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                         Journal& journal, Warnings& warnings) {
  const std::string what = "the spool was rewritten by another program after an update was interrupted; ";
  if (journal.mail().fd < 0) {
    const auto* rest = journal.redo_only()
                           ? "on the full disk no copy of its mail could be kept, so look at it with popcheck"
                           : "every message that was to be kept was still in its place then";
    return set_aside(context, paths, Recovery::set_aside, what + rest, warnings);
  }
  auto salvaged = salvage(context, paths, lock, journal);
  if (!salvaged) return salvaged.error().at("salvage from the journal");
  const auto text = fmt::format("{}{} of {} messages of the journal were missing and have been appended", what,
                                salvaged->appended, salvaged->held);
  // First: should we die in between, the next salvage finds all of it present.
  if (auto ended = end_salvage(context, paths.state_folder_fd); !ended) return ended.error().at("end the salvage");
  return set_aside(context, paths, Recovery::salvaged, text, warnings);
}

}  // namespace

Result<std::uint64_t> carry_out(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                std::unique_ptr<Journal> journal, Warnings& warnings) {
  FileSystem& fs = context.fs;
  for (int round = 0; round < kMaxRounds; ++round) {
    auto early = for_early_mail(context, paths, lock, *journal);
    if (!early) return early.error();
    if (*early) {
      journal = std::move(*early);
      continue;
    }
    if (auto moved = journal->move(context, lock); !moved) {
      give_up_without_room(context, paths, lock, *journal, moved.error(), warnings);
      return moved.error();
    }
    auto next = for_surplus(context, paths, lock, *journal);
    if (!next) return next.error();
    if (*next) {
      journal = std::move(*next);
      continue;
    }
    const std::uint64_t target = journal->header().new_size;
    if (target < journal->header().old_size) {
      if (auto cut = again([&] { return fs.truncate(lock.fd(), target); }); !cut) return cut.error().at("cut the spool");
      if (auto synced = again([&] { return fs.sync(lock.fd()); }); !synced) return synced.error().at("sync the spool");
    }
    if (auto forgotten = remove_expunged(context, paths.state_folder_fd); !forgotten)
      return forgotten.error().at("forget which messages were deleted");
    drop_journal(context, paths, *journal, warnings);
    return size_of(fs, lock.fd());
  }
  return Error{ErrorKind::busy, "the spool grows without its locks being taken"};
}

Result<Recovery> recover_locked(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                Warnings& warnings) {
  if (auto removed = remove_if_present(context.fs, paths.state_folder_fd, kJournalTemporaryName); !removed) {
    warnings.push_back(fmt::format("remove an unfinished journal: {}", removed.error().message()));
  }
  auto loaded = load_journal(context, paths.state_folder_fd, lock);
  if (!loaded) {
    if (loaded.error().kind() != ErrorKind::malformed) return loaded.error();
    return set_aside(context, paths, Recovery::set_aside, loaded.error().message(), warnings);
  }
  auto journal = std::move(*loaded);
  if (!journal) return Recovery::nothing;
  auto named = again([&] { return context.fs.sync_directory(paths.state_folder_fd); });
  if (!named) return named.error().at("make the name of the journal durable");
  auto state = journal->classify(context, lock);
  if (!state) return state.error().at("compare the spool with the journal");
  if (*state != SpoolState::foreign) {
    // A salvage that had brought back all of it, into an empty spool for example, looks like a finished update.
    if (auto ended = end_salvage(context, paths.state_folder_fd); !ended) return ended.error().at("end the salvage");
  }
  switch (*state) {
    case SpoolState::uncut: {
      auto done = carry_out(context, paths, lock, std::move(journal), warnings);
      if (!done) return done.error().at("redo the update");
      return Recovery::redone;
    }
    case SpoolState::complete:
      // A crash of the machine may come before the cut is durable; the journal must not go first.
      if (auto synced = again([&] { return context.fs.sync(lock.fd()); }); !synced)
        return synced.error().at("sync the spool");
      if (auto forgotten = remove_expunged(context, paths.state_folder_fd); !forgotten)
        return forgotten.error().at("forget which messages were deleted");
      drop_journal(context, paths, *journal, warnings);
      return Recovery::finished;
    case SpoolState::foreign:
      if (auto forgotten = remove_expunged(context, paths.state_folder_fd); !forgotten)
        return forgotten.error().at("forget which messages were deleted");
      return after_a_foreign_rewrite(context, paths, lock, *journal, warnings);
  }
  return Recovery::nothing;
}

}  // namespace qpop::spool
