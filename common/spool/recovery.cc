// SPDX-License-Identifier: MIT
// Carrying out a committed update, and recovery.
//
// Carrying out (update.cc comes here from its commit point, recovery from state U). J is the journal, M the spool, F
// the first deleted octet, S the old size, N the new one.
//  1. M is longer than S: somebody appended without our locks, or after a crash. M is synced, so that what its sectors
//  hold now is
//     what a power loss leaves, and J is replaced, atomically, by one whose tail ends with the appended octets and
//     whose old sums are those of M as it is now. A crash before: J as it was. Behind: the new one. Both describe M,
//     which was not touched.
//  2. The tail goes from J to M at F. A crash leaves sectors of [F, N) old or new in any mixture; [N, S) is as it was:
//  state U.
//  3. fdatasync(M). Without it step 5 could become durable before step 2: M cut, and its moved tail lost, which only J
//  could mend;
//     but state T demands that M holds the tail. Here the mixture ends: all sectors are new, still state U.
//  4. M is longer than S now: back to 1.
//  5. ftruncate(M, N), fsync(M). One inode update: a crash shows S (state U) or N (state T).
//  6. J is removed and the folder synced. A crash may bring J back: state T, or T with mail behind N.
// Errors of the system leave J; whoever comes next starts again at 1.
//
// Recovery. Mail may have been delivered since the crash, by programs that know nothing of J, and the spool may have
// been rewritten by a mail reader. So the state is proven, never guessed:
//  a. No J: nothing. J.tmp: its update never was committed, it is removed.
//  b. J is not whole: it was made whole before it got its name, so M was not touched; J is set aside, not believed.
//  c. The folder is synced: the process may have died between naming J and syncing the folder, and J's name is then
//  known to the
//     page cache alone. Touching M before would leave a half moved M and no J after a power loss.
//  d. State U: M is at least S long, the octets before F and those of [N, S) hash as recorded, every sector of [F, N)
//  is old or new,
//     and M ends at S, or a message starts at S, or M was recorded not to end like a message (then a delivery cannot
//     start one there, and the other conditions must suffice). Carried out from step 1.
//  e. State T: the octets before F hash as recorded, [F, N) is the tail, M ends at N or a message starts at N. Step 6.
//     U is tried first: when messages of equal length are deleted, an M that is still uncut can have a message start at
//     N.
//  f. Anything else: somebody rewrote M. A redo would destroy what they wrote. The messages of the tail that M lacks
//  (by digest,
//     counting twins) are appended, each synced; J becomes saved-<time>. Nothing is lost; mail deleted by others may
//     return. A crash in between: J still stands, the next round finds the appended ones present.
#include "common/spool/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "common/mbox/scanner.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using listing::Record;
using listing::SpoolFormat;

/// How often a spool may grow under our hands before we leave the journal for later.
constexpr int kMaxRounds = 8;

Result<std::uint64_t> size_of(const Context& context, int fd) {
  auto status = again([&] { return context.fs.status(fd); });
  if (!status) return status.error();
  return status->identity.size;
}

/// Step 1.
Result<Journal> with_surplus(const Context& context, const MaildropPaths& paths, MailLock& lock, const Journal& journal,
                             std::uint64_t size) {
  if (auto synced = again([&] { return context.fs.sync_data(lock.fd()); }); !synced) return synced.error();
  const JournalHeader& header = journal.header();
  auto open_end = missing_end(context.fs, lock.fd(), size, header.format, 1);
  if (!open_end) return open_end.error();
  const JournalPlan plan{
      .first = header.first,
      .old_size = size,
      .format = header.format,
      .open_end = !open_end->empty(),
      .replaces = true,
      .pieces = {journal.tail(), {.fd = lock.fd(), .offset = header.old_size, .length = size - header.old_size}}};
  return Journal::commit(context, paths, lock.fd(), plan, [&] { lock.refresh(); });
}

/// Step 6. The update is complete: what fails here leaves a journal that the next open finds in state T.
void drop_journal(const Context& context, const MaildropPaths& paths, Warnings& warnings) {
  auto removed = remove_if_present(context.fs, paths.state_folder_fd, kJournalName);
  if (removed) removed = again([&] { return context.fs.sync_directory(paths.state_folder_fd); });
  if (!removed)
    warnings.push_back(fmt::format("remove the journal: {}; the next open does it", removed.error().message()));
}

enum class State : std::uint8_t { uncut, complete, foreign };

/// Is M where the journal says, and which side of the cut?
Result<State> classify(const Context& context, MailLock& lock, const Journal& journal) {
  const JournalHeader& header = journal.header();
  const Tick tick = [&] { lock.refresh(); };
  auto size = size_of(context, lock.fd());
  if (!size) return size.error();
  if (*size < header.new_size) return State::foreign;
  auto head = journal.head_is_same(context, lock.fd());
  if (!head) return head.error();
  if (!*head) return State::foreign;
  auto sectors = journal.compare_sectors(context, lock.fd(), tick);
  if (!sectors) return sectors.error();
  const auto message_starts_at = [&](std::uint64_t offset) {
    return boundary_at(context.fs, lock.fd(), offset, header.format);
  };
  if (*size >= header.old_size && sectors->all_old_or_new) {
    auto cut = journal.cut_is_same(context, lock.fd(), tick);
    if (!cut) return cut.error();
    if (*cut && (*size == header.old_size || header.open_end != 0)) return State::uncut;
    auto starts = message_starts_at(header.old_size);
    if (!starts) return starts.error();
    if (*cut && *starts) return State::uncut;
  }
  if (!sectors->all_new) return State::foreign;
  if (*size == header.new_size) return State::complete;
  auto starts = message_starts_at(header.new_size);
  if (!starts) return starts.error();
  return *starts ? State::complete : State::foreign;
}

/// Messages of an open file from `base` to `end`, offsets counted from `base`. Empty when it is no mailbox.
Result<std::vector<Record>> messages_of(const Context& context, MailLock& lock, int fd, std::uint64_t base,
                                        std::uint64_t end) {
  mbox::Scanner scanner{{}, [&](std::uint64_t offset, std::span<char> out) -> Result<std::size_t> {
                          if (base + offset >= end) return std::size_t{0};
                          const auto room =
                              static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), end - base - offset));
                          return read_up_to(context.fs, fd, out.first(room), base + offset);
                        }};
  auto fed = for_each_piece(context.fs, fd, base, end, [&](std::string_view piece) {
    lock.refresh();
    return scanner.feed(piece);
  });
  auto found = fed ? scanner.finish() : base::Result<mbox::ScanResult>{fed.error()};
  if (found) return std::move(found->records);
  if (found.error().kind() == ErrorKind::malformed) return std::vector<Record>{};
  return found.error();
}

/// Appends octets of the journal as one message, durably, or leaves the spool as it was.
Status append_message(const Context& context, MailLock& lock, const TailPiece& from, SpoolFormat format,
                      std::uint8_t last_trailer) {
  FileSystem& fs = context.fs;
  auto size = size_of(context, lock.fd());
  if (!size) return size.error();
  auto gap = missing_end(fs, lock.fd(), *size, format, last_trailer);
  if (!gap) return gap.error();
  std::uint64_t to = *size + gap->size();
  auto done = write_all(fs, lock.fd(), *gap, *size);
  if (done) {
    done = for_each_piece(fs, from.fd, from.offset, from.offset + from.length, [&](std::string_view piece) {
      auto put = write_all(fs, lock.fd(), piece, to);
      to += piece.size();
      return put;
    });
  }
  if (done) done = again([&] { return fs.sync(lock.fd()); });
  if (!done) static_cast<void>(again([&] { return fs.truncate(lock.fd(), *size); }));
  return done;
}

Status set_aside(const Context& context, const MaildropPaths& paths, std::string& name) {
  name = fmt::format("saved-{}", context.clock.realtime_ns());
  auto named = again([&] { return context.fs.rename_at(paths.state_folder_fd, kJournalName, name); });
  if (!named) return named;
  return again([&] { return context.fs.sync_directory(paths.state_folder_fd); });
}

/// Step f.
Status salvage(const Context& context, MailLock& lock, const Journal& journal, Warnings& warnings) {
  auto size = size_of(context, lock.fd());
  if (!size) return size.error();
  auto present = messages_of(context, lock, lock.fd(), 0, *size);
  if (!present) return present.error();
  const TailPiece tail = journal.tail();
  auto kept = messages_of(context, lock, tail.fd, tail.offset, tail.offset + tail.length);
  if (!kept) return kept.error();
  std::map<digest::Digest16, std::size_t> have;
  for (const auto& record : *present) ++have[record.digest];
  // In MMDF the last message decides whether a closing separator is missing; what we append is closed.
  std::uint8_t last_trailer = present->empty() ? 1 : present->back().trailer;
  std::size_t appended = 0;
  for (std::size_t i = 0; i < kept->size(); ++i) {
    if (auto& left = have[(*kept)[i].digest]; left > 0) {
      --left;
      continue;
    }
    const auto start = (*kept)[i].offset;
    const auto end = i + 1 < kept->size() ? (*kept)[i + 1].offset : tail.length;
    const TailPiece message{.fd = tail.fd, .offset = tail.offset + start, .length = end - start};
    if (auto done = append_message(context, lock, message, journal.header().format, last_trailer); !done) return done;
    last_trailer = 1;
    ++appended;
  }
  warnings.push_back(
      fmt::format("the spool was rewritten by another program after an update was interrupted; {} of {} messages of "
                  "the journal were missing and have been appended",
                  appended, kept->size()));
  return {};
}

Result<Recovery> save_journal(const Context& context, const MaildropPaths& paths, Recovery outcome,
                              std::string_view why, Warnings& warnings) {
  std::string name;
  if (auto saved = set_aside(context, paths, name); !saved) return saved.error().at("set the journal aside");
  warnings.push_back(fmt::format("{}; the journal is kept as {} in the state folder", why, name));
  return outcome;
}

}  // namespace

Result<std::uint64_t> carry_out(const Context& context, const MaildropPaths& paths, MailLock& lock, Journal journal,
                                Warnings& warnings) {
  FileSystem& fs = context.fs;
  const Tick tick = [&] { lock.refresh(); };
  for (int round = 0; round < kMaxRounds; ++round) {
    auto size = size_of(context, lock.fd());
    if (!size) return size.error();
    if (*size < journal.header().old_size) return Error{ErrorKind::changed, "the spool was cut by another program"};
    if (*size > journal.header().old_size) {
      auto longer = with_surplus(context, paths, lock, journal, *size);
      if (!longer) return longer.error();
      journal = std::move(*longer);
    }
    if (auto moved = journal.move_tail(context, lock.fd(), tick); !moved)
      return moved.error().at("move the kept messages");
    if (auto synced = again([&] { return fs.sync_data(lock.fd()); }); !synced)
      return synced.error().at("sync the spool");
    size = size_of(context, lock.fd());
    if (!size) return size.error();
    if (*size != journal.header().old_size) continue;
    const std::uint64_t target = journal.header().new_size;
    if (auto cut = again([&] { return fs.truncate(lock.fd(), target); }); !cut) return cut.error().at("cut the spool");
    if (auto synced = again([&] { return fs.sync(lock.fd()); }); !synced) return synced.error().at("sync the spool");
    drop_journal(context, paths, warnings);
    return target;
  }
  return Error{ErrorKind::busy, "the spool grows without its locks being taken"};
}

Result<Recovery> recover_locked(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                Warnings& warnings) {
  if (auto removed = remove_if_present(context.fs, paths.state_folder_fd, kJournalTemporaryName); !removed) {
    warnings.push_back(fmt::format("remove an unfinished journal: {}", removed.error().message()));
  }
  auto loaded = Journal::load(context, paths.state_folder_fd, [&] { lock.refresh(); });
  if (!loaded) {
    if (loaded.error().kind() != ErrorKind::malformed) return loaded.error();
    return save_journal(context, paths, Recovery::set_aside, loaded.error().message(), warnings);
  }
  if (!loaded->has_value()) return Recovery::nothing;
  auto named = again([&] { return context.fs.sync_directory(paths.state_folder_fd); });
  if (!named) return named.error().at("make the name of the journal durable");
  Journal& journal = **loaded;
  auto state = classify(context, lock, journal);
  if (!state) return state.error().at("compare the spool with the journal");
  switch (*state) {
    case State::uncut: {
      auto done = carry_out(context, paths, lock, std::move(journal), warnings);
      if (!done) return done.error().at("redo the update");
      return Recovery::redone;
    }
    case State::complete:
      // A crash of the machine may come before the cut is durable; the journal must not go first.
      if (auto synced = again([&] { return context.fs.sync(lock.fd()); }); !synced)
        return synced.error().at("sync the spool");
      drop_journal(context, paths, warnings);
      return Recovery::finished;
    case State::foreign:
      if (auto done = salvage(context, lock, journal, warnings); !done)
        return done.error().at("salvage from the journal");
      return save_journal(context, paths, Recovery::salvaged, "the journal did not fit the spool", warnings);
  }
  return Recovery::nothing;
}

}  // namespace qpop::spool
