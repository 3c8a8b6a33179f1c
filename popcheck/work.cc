// SPDX-License-Identifier: MIT
// Check and recovery of one spool.
// Runs as: the owner of the mail.
#include "popcheck/work.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check/reading.h"
#include "common/spool/deferred.h"
#include "common/spool/locks.h"
#include "common/spool/maildrop.h"
#include "common/spool/spool_file.h"
#include "common/spool/spool_bytes.h"
#include "popcheck/holes.h"
#include "popcheck/surroundings.h"

namespace qpop::popcheck {

namespace {

using base::Error;
using base::ErrorKind;

constexpr std::uint32_t kCells = 4096;
constexpr std::int64_t kSettledNs = 1'000'000'000;
constexpr int kLooks = 5;
constexpr std::uint32_t kPauseMs = 400;

/// Hidden messages stay where they are: they are to be hidden, or popcheck does not make the unique-ids that they are known by.
bool keeps_hidden(const config::Settings& settings) {
  using config::Opt;
  return settings.text(Opt::expunge) == "deferred" || settings.boolean(Opt::old_style_uid) || settings.text(Opt::unique_id_form).starts_with("md5");
}

void judge(Outcome& outcome) {
  const bool clean = outcome.report.clean();
  outcome.code = clean ? kClean : kFindings;
  outcome.result = clean ? "clean" : "findings";
}

/// Opened as it is: what is wrong with it is a finding, not an error.
base::Result<base::UniqueFd> open_to_look(Place& place) {
  auto fd = place.fs.open_at(place.folder.get(), place.target.name, O_RDONLY | O_NONBLOCK | O_NOATIME, 0);
  if (!fd && fd.error().errno_value() == EPERM) fd = place.fs.open_at(place.folder.get(), place.target.name, O_RDONLY | O_NONBLOCK, 0);
  if (!fd) return fd.error().at("open", place.target.label);
  return fd;
}

}  // namespace

Outcome failed(const Error& error, std::vector<std::string> warnings) {
  Outcome outcome;
  outcome.code = kFailed;
  outcome.result = "failed";
  outcome.message = error.message();
  outcome.warnings = std::move(warnings);
  return outcome;
}

spool::MailLockKinds Place::locks() const { return spool::lock_kinds(settings.text(config::Opt::mail_locks)); }

files::LockCreation lock_creation(const config::Settings& settings) {
  return settings.boolean(config::Opt::no_atomic_open) ? files::LockCreation::link : files::LockCreation::exclusive_open;
}

namespace {

/// Of a spool that is not read.
check::Report report_of(const Hole& hole, const Place& place, std::uint64_t size) {
  check::Report report;
  report.size = size;
  report.octets.at(static_cast<std::size_t>(check::Region::filler)) = size;
  report.worst = check::row_of(check::Id::holes).severity;
  check::Finding finding;
  finding.id = check::Id::holes;
  finding.offset = hole.offset;
  finding.length = hole.length;
  finding.detail = describe(hole, place.target.path());
  report.findings.push_back(std::move(finding));
  return report;
}

struct Look {
  Outcome outcome;
  bool steady = true;  ///< nobody is at work on the spool, as far as can be seen without its locks
};

Look look_once(Place& place) {
  Look look;
  auto& outcome = look.outcome;
  const auto fail = [&](const Error& error) {
    outcome = failed(error);
    return std::move(look);
  };
  auto status = place.fs.status_at(place.folder.get(), place.target.name);
  const bool absent = !status && status.error().kind() == ErrorKind::not_found;
  if (!status && !absent) return fail(status.error().at("look at", place.target.label));
  if (status && S_ISREG(status->mode)) {
    auto fd = open_to_look(place);
    if (!fd) return fail(fd.error());
    auto opened = place.fs.status(fd->get());
    if (!opened) return fail(opened.error());
    const auto hole = too_many_holes(fd->get());
    spool::SpoolBytes bytes{place.fs, fd->get(), opened->identity.size};
    auto report = hole ? base::Result<check::Report>{report_of(*hole, place, opened->identity.size)}
                       : check::read_spool(bytes, {.now_s = place.now_s(), .list_units = false, .cells = place.command.report.empty() ? 0 : kCells});
    if (!report && report.error().kind() != ErrorKind::changed) return fail(report.error().at("check", place.target.label));
    auto after = place.fs.status(fd->get());
    look.steady = report && after && after->identity == opened->identity && place.clock.realtime_ns() - opened->identity.mtime_ns > kSettledNs;
    if (report) outcome.report = std::move(*report);
    // Cut while it was read: not steady, and looked at again.
    if (!report) outcome.report.worst = check::Severity::error;
  }
  const auto around = look_around(place.fs, place.target, place.folder.get(), place.state.get(), place.clock.realtime_ns());
  for (const auto& finding : around) {
    outcome.report.worst = std::max(outcome.report.worst, check::row_of(finding.id).severity);
    if (finding.id == check::Id::left_journal) look.steady = false;
  }
  outcome.report.findings.insert(outcome.report.findings.begin(), around.begin(), around.end());
  outcome.has_report = true;
  judge(outcome);
  return look;
}

}  // namespace

bool is_mostly_holes(Place& place) {
  auto fd = open_to_look(place);
  return fd && too_many_holes(fd->get());
}

/// A check takes no locks, so it may meet a delivery or an update half-way: what is wrong is believed when nobody is at work,
/// or when it stays so.
Outcome check_spool(Place& place) {
  for (int look = 0;; ++look) {
    auto seen = look_once(place);
    if (seen.outcome.code != kFindings || seen.steady || look == kLooks) return std::move(seen.outcome);
    place.fs.sleep_ms(kPauseMs);
  }
}

/// What cannot be read again is kept in memory, outside of the heap.
Outcome check_stdin(const Command& command) {
  files::SystemFileSystem fs;
  base::SystemClock clock;
  auto memory = fs.memory_file();
  if (!memory) return failed(memory.error());
  std::vector<char> buffer(files::kChunk);
  std::uint64_t size = 0;
  for (;;) {
    const auto got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(Error::from_errno(errno, "read").at("standard input"));
    if (got == 0) break;
    if (auto put = files::write_all(fs, memory->get(), {buffer.data(), static_cast<std::size_t>(got)}, size); !put) return failed(put.error());
    size += static_cast<std::uint64_t>(got);
  }
  spool::SpoolBytes bytes{fs, memory->get(), size};
  auto report = check::read_spool(bytes, {.now_s = clock.realtime_ns() / 1'000'000'000, .list_units = false, .cells = command.report.empty() ? 0 : kCells});
  if (!report) return failed(report.error());
  Outcome outcome;
  outcome.report = std::move(*report);
  outcome.has_report = true;
  judge(outcome);
  return outcome;
}

Outcome recover_spool(Place& place, bool has_session_lock) {
  Outcome outcome;
  outcome.message = "nothing to recover";
  if (!place.state.valid()) return outcome;
  spool::MaildropSettings settings{.locks = place.locks(), .open_timeout_ms = place.command.lock_timeout_s * 1000};
  settings.expunge.deferred = has_session_lock || keeps_hidden(place.settings);
  auto recovered = spool::recover_maildrop(place.context(), place.paths(), settings);
  if (!recovered) return failed(recovered.error().at("recover", place.target.label));
  outcome.warnings = recovered->warnings;
  // What a long update wrote down and did not come to remove.
  if (has_session_lock && !keeps_hidden(place.settings)) {
    auto compacted = spool::compact_maildrop(place.context(), place.paths(), settings, outcome.warnings);
    if (!compacted) return failed(compacted.error().at("remove deleted messages from", place.target.label));
    if (*compacted > 0 && recovered->outcome == spool::Recovery::nothing) recovered->outcome = spool::Recovery::redone;
  }
  switch (recovered->outcome) {
    case spool::Recovery::nothing:
      return outcome;
    case spool::Recovery::redone:
      outcome.message = "an interrupted update or repair has been completed";
      break;
    case spool::Recovery::finished:
      outcome.message = "an update was complete, its journal is removed";
      break;
    case spool::Recovery::salvaged:
    case spool::Recovery::set_aside:
      outcome.message = "an interrupted update could not be completed";
      outcome.code = kFindings;
      outcome.result = "findings";
      return outcome;
  }
  outcome.code = kRepaired;
  outcome.result = "repaired";
  return outcome;
}

}  // namespace qpop::popcheck
