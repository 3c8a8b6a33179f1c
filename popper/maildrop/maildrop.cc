// SPDX-License-Identifier: MIT
// The maildrop role: take descriptors, drop, sandbox, one job, one answer.
// Runs as: the owner of the mail.
#include "popper/maildrop/maildrop.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <memory>

#include "common/base/clock.h"
#include "common/check/reading.h"
#include "common/ipc/log_sink.h"
#include "common/ipc/maildrop_messages.h"
#include "common/priv/confine.h"
#include "common/priv/drop.h"
#include "common/files/dotlock.h"
#include "common/files/file_system.h"
#include "common/files/io.h"
#include "common/spool/maildrop.h"
#include "common/spool/spool_bytes.h"
#include "common/spool/spool_file.h"
#include "popper/maildrop/bulletins.h"
#include "popper/maildrop/monitor_dotlock.h"
#include "popper/maildrop/scan_process.h"
#include "popper/maildrop/user_rules.h"

namespace qpop::maildrop {

namespace {

using base::Error;
using base::ErrorKind;

constexpr int kBitmapMs = 60'000;
// More messages than any maildrop holds; bounds what a captured session can make us allocate.
constexpr std::uint64_t kMostDiagnosed = 256UL * 1024 * 1024;  // octets of a spool that are looked at for a log line
constexpr std::uint32_t kMostMessages = 64U * 1024 * 1024;

struct Folders {
  base::UniqueFd spool;
  base::UniqueFd state;
  std::vector<std::pair<base::UniqueFd, std::string>> temporary_drops;  ///< folder, name
};

/// Everything that is read while the file system is still open to us.
struct Prepared {
  UserRules rules;
  Bulletins bulletins;
  Folders folders;
  std::unique_ptr<ScanProcess> scan_process;  ///< none: not worth it
};

base::Result<base::UniqueFd> open_folder(const std::string& path) {
  base::UniqueFd fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  // A spool folder that can be searched but not listed is enough.
  if (!fd.valid() && errno == EACCES) fd.reset(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return Error::from_errno(errno, "open").at("folder", path);
  return fd;
}

/// A folder that cannot be opened holds no temporary drop of ours either.
std::vector<std::pair<base::UniqueFd, std::string>> open_drops(const config::Placement& placement) {
  std::vector<std::pair<base::UniqueFd, std::string>> out;
  for (const auto& drop : placement.temporary_drops) {
    if (auto folder = open_folder(drop.folder)) out.emplace_back(std::move(*folder), drop.name);
  }
  return out;
}

spool::MaildropPaths paths_of(const UserRules& rules, const Job& job, int spool_folder, int state_folder) {
  return {spool_folder, rules.placement.spool.name, state_folder, job.uid, unique_id_form(rules.settings)};
}

base::Result<Prepared> give_up_rights(const Job& job) {
  const std::array<int, 2> keep{job.monitor.fd(), job.session.fd()};
  if (auto done = priv::confine({.keep = keep, .uid = job.uid, .gid = job.gid}); !done) return done.error();
  Prepared prepared;
  prepared.rules = read_user_rules(job);
  if (job.work == Work::open) prepared.bulletins = gather_bulletins(prepared.rules.settings, job);
  auto spool = open_folder(prepared.rules.placement.spool.folder);
  if (!spool) return spool.error();
  auto state = open_folder(job.state_folder);
  if (!state) return state.error();
  auto drops = job.work == Work::open ? open_drops(prepared.rules.placement) : decltype(prepared.folders.temporary_drops){};
  std::vector<int> reach{spool->get(), state->get()};
  for (const auto& drop : drops) reach.push_back(drop.first.get());
  if (job.work == Work::open) prepared.scan_process = ScanProcess::start(paths_of(prepared.rules, job, spool->get(), state->get()));
  if (auto done = priv::wall_in({}, reach, priv::Calls::file_role); !done) return done.error();
  prepared.folders = {std::move(*spool), std::move(*state), std::move(drops)};
  return prepared;
}

ipc::MaildropFailure classify(const Error& error, Work work) {
  switch (error.kind()) {
    case ErrorKind::busy:
      if (error.detail().starts_with(spool::kTooEarly)) return ipc::MaildropFailure::too_early;
      // Only the session lock is another session; a mail lock that was not to be had may be free later.
      return error.detail().starts_with(spool::kOtherSession) ? ipc::MaildropFailure::in_use : ipc::MaildropFailure::locked;
    case ErrorKind::malformed:
      return work == Work::open ? ipc::MaildropFailure::unreadable : ipc::MaildropFailure::changed;
    case ErrorKind::unsafe:
    case ErrorKind::denied:
      return ipc::MaildropFailure::permanent;
    case ErrorKind::changed:
      return ipc::MaildropFailure::changed;
    case ErrorKind::no_space:
      return ipc::MaildropFailure::no_space;
    case ErrorKind::not_found:
    case ErrorKind::closed:
    case ErrorKind::io:
    case ErrorKind::limit:
    case ErrorKind::unsupported:
      return ipc::MaildropFailure::temporary;
  }
  return ipc::MaildropFailure::temporary;
}

ipc::RecoveryOutcome outcome_of(spool::Recovery recovery) {
  switch (recovery) {
    case spool::Recovery::nothing:
      return ipc::RecoveryOutcome::nothing;
    case spool::Recovery::redone:
      return ipc::RecoveryOutcome::redone;
    case spool::Recovery::finished:
      return ipc::RecoveryOutcome::finished;
    case spool::Recovery::salvaged:
      return ipc::RecoveryOutcome::salvaged;
    case spool::Recovery::set_aside:
      return ipc::RecoveryOutcome::set_aside;
  }
  return ipc::RecoveryOutcome::failed;
}

/// One job with everything it needs; each function answers the session itself.
class Worker {
 public:
  Worker(Job& job, Prepared& prepared)
      : job_(job),
        prepared_(prepared),
        paths_(paths_of(prepared.rules, job, prepared.folders.spool.get(), prepared.folders.state.get())),
        settings_(maildrop_settings(prepared.rules.settings)),
        dotlock_(job.monitor),
        own_dotlock_(files_, clock_, prepared.folders.spool.get(), prepared.rules.placement.spool.name, lock_creation(prepared.rules.settings)) {
    settings_.bulletins = prepared.bulletins.messages;
    for (const auto& drop : prepared.folders.temporary_drops) settings_.temporary_drops.push_back({drop.first.get(), drop.second});
    settings_.on_lost_recovery = [this](spool::Recovery recovery, const spool::Warnings& warnings) { log_recovery(recovery, warnings); };
  }
  int open();
  int update();
  int recover();

 private:
  [[nodiscard]] spool::Context context() {
    if (prepared_.rules.placed_by_user) return {files_, clock_, own_dotlock_, prepared_.scan_process.get(), job_.boot};
    return {files_, clock_, dotlock_, prepared_.scan_process.get(), job_.boot};
  }
  void note_bulletins();
  int fail(const Error& error);
  std::string diagnosis();
  std::string log_recovery(spool::Recovery recovery, const std::vector<std::string>& warnings) const;
  [[nodiscard]] std::string spool_path() const {
    return prepared_.rules.placement.spool.folder + "/" + prepared_.rules.placement.spool.name;
  }
  base::Result<spool::UpdateRequest> read_request(base::UniqueFd& session_lock, base::UniqueFd& listing);
  base::Result<std::vector<bool>> read_bits(std::uint32_t count);

  Job& job_;
  Prepared& prepared_;
  files::SystemFileSystem files_;
  base::SystemClock clock_;
  spool::MaildropPaths paths_;
  spool::MaildropSettings settings_;
  MonitorDotlock dotlock_;
  files::DirectDotlock own_dotlock_;
};

/// What popcheck would say of a spool that cannot be read, for the log: where, what, and the command that helps.
std::string Worker::diagnosis() {
  auto fd = spool::open_spool(files_, paths_, O_RDONLY);
  auto size = fd ? spool::size_of(files_, fd->get()) : base::Result<std::uint64_t>{fd.error()};
  if (!size) return {};
  // A login must not cost more than that; a file with holes may be as long as its owner likes.
  if (*size > kMostDiagnosed) return fmt::format("; look at it with popcheck {}", job_.name);
  spool::SpoolBytes bytes{files_, fd->get(), *size};
  auto report = check::read_spool(bytes, {.now_s = clock_.realtime_ns() / 1'000'000'000});
  if (!report) return {};
  const auto worst = std::ranges::find_if(report->findings, [&](const check::Finding& one) { return check::row_of(one.id).severity == report->worst; });
  if (worst == report->findings.end()) return {};
  const auto& row = check::row_of(worst->id);
  return fmt::format("; {} at octet {}, line {}: {}; look at it with popcheck {}, repair it with popcheck --repair {}", row.name, worst->offset, worst->line, row.title, job_.name,
                     job_.name);
}

int Worker::fail(const Error& error) {
  ipc::MaildropFailed failed;
  failed.failure = classify(error, job_.work);
  const char* verb = job_.work == Work::open ? "open maildrop" : job_.work == Work::update ? "update maildrop" : "recover maildrop";
  const bool unreadable = job_.work == Work::open && error.kind() == ErrorKind::malformed;
  if (job_.session.valid()) (void)job_.session.send(failed);
  log::error("{}{}", error.at(verb, spool_path()).message(), unreadable ? diagnosis() : std::string{});
  return job_.work == Work::update ? kUpdateFailed : 0;
}

/// What a recovery did, and whatever else works but needs attention. A journal that did not fit its spool is an error wherever it is met:
/// somebody has to look at the mail. Returns the text of the warnings.
std::string Worker::log_recovery(spool::Recovery recovery, const std::vector<std::string>& warnings) const {
  std::string text = fmt::format("{}", fmt::join(warnings, "; "));
  switch (outcome_of(recovery)) {
    case ipc::RecoveryOutcome::salvaged:
    case ipc::RecoveryOutcome::set_aside:
      log::error("maildrop of {}: an interrupted update of {} could not be completed: {} ({}); compare it with the spool, then remove it", job_.name,
                 spool_path(), text, job_.state_folder);
      return text;
    case ipc::RecoveryOutcome::redone:
      log::info("maildrop of {}: an interrupted update has been completed", job_.name);
      break;
    case ipc::RecoveryOutcome::finished:
      log::info("maildrop of {}: an interrupted update was complete, its journal is removed", job_.name);
      break;
    case ipc::RecoveryOutcome::nothing:
    case ipc::RecoveryOutcome::failed:
      break;
  }
  for (const auto& warning : warnings) log::warning("maildrop of {}: {}", job_.name, warning);
  return text;
}

/// After they are in the spool. A crash in between: they are found there, and not appended again.
void Worker::note_bulletins() {
  if (!prepared_.bulletins.last) return;
  const auto text = fmt::format("{}\n", *prepared_.bulletins.last);
  auto fd = files::again([&] { return files_.open_at(paths_.state_folder_fd, kBulletinName, O_WRONLY | O_CREAT | O_NONBLOCK, 0600); });
  auto done = fd ? files::write_all(files_, fd->get(), text, 0) : base::Status{fd.error()};
  if (done) done = files_.truncate(fd->get(), text.size());
  if (done) done = files_.sync(fd->get());
  if (!done) log::warning("maildrop of {}: number of the last bulletin: {}", job_.name, done.error().message());
}

int Worker::open() {
  auto opened = spool::open_maildrop(context(), paths_, settings_);
  if (!opened) return fail(opened.error());
  log_recovery(opened->recovery, opened->warnings);
  if (opened->expired > 0) log::info("maildrop of {}: {} messages deleted by age (expire-after)", job_.name, opened->expired);
  if (opened->compacted > 0) log::info("maildrop of {}: {} messages deleted earlier left the spool (expunge)", job_.name, opened->compacted);
  if (opened->bulletins_delivered || settings_.bulletins.empty()) note_bulletins();
  (void)job_.monitor.send(monitor_rules(prepared_.rules.settings));
  auto answer = session_rules(prepared_.rules.settings);
  answer.hidden_first = opened->hidden_first ? 1 : 0;
  answer.has_spool = opened->spool.valid() ? 1 : 0;
  answer.has_hidden = opened->hidden.valid() ? 1 : 0;
  std::vector<int> fds{opened->session_lock.get(), opened->listing.get()};
  if (opened->spool.valid()) fds.push_back(opened->spool.get());
  if (opened->hidden.valid()) fds.push_back(opened->hidden.get());
  (void)job_.session.send(answer, fds);
  return 0;
}

base::Result<spool::UpdateRequest> Worker::read_request(base::UniqueFd& session_lock, base::UniqueFd& listing) {
  auto frame = job_.session.receive(kBitmapMs);
  ipc::UpdateBegin begin;
  if (!frame) return frame.error();
  if (!frame->read(begin) || frame->descriptors.size() != 2 || begin.count > kMostMessages) return Error{ErrorKind::malformed, "update request of a wrong form"};
  session_lock = std::move(frame->descriptors[0]);
  listing = std::move(frame->descriptors[1]);
  spool::UpdateRequest request;
  request.session_lock_fd = session_lock.get();
  request.listing_fd = listing.get();
  request.count = begin.count;
  request.records_hash = begin.records_hash;
  for (auto* marks : {&request.deleted, &request.retrieved}) {
    if (marks == &request.retrieved && begin.has_retrieved == 0) continue;
    auto read = read_bits(begin.count);
    if (!read) return read.error();
    *marks = std::move(*read);
  }
  return request;
}

/// A bit map of `count` messages.
base::Result<std::vector<bool>> Worker::read_bits(std::uint32_t count) {
  std::vector<bool> bits(count);
  constexpr auto kBits = static_cast<std::uint32_t>(ipc::UpdatePart::kBits);
  for (std::uint32_t number = 0; number * kBits < count; ++number) {
    auto next = job_.session.receive(kBitmapMs);
    ipc::UpdatePart part;
    if (!next) return next.error();
    if (!next->read(part) || part.number != number) return Error{ErrorKind::malformed, "update request of a wrong form"};
    for (std::uint32_t i = 0; i < kBits && number * kBits + i < count; ++i) {
      bits[number * kBits + i] = ((unsigned{part.bits.at(i / 8)} >> (i % 8)) & 1U) != 0;
    }
  }
  return bits;
}

int Worker::update() {
  base::UniqueFd session_lock;
  base::UniqueFd listing;
  auto request = read_request(session_lock, listing);
  if (!request) return fail(request.error());
  request->committed = [&](std::uint64_t moving) { (void)job_.session.send(ipc::UpdateCommitted{.moving = moving}); };
  auto updated = spool::update_maildrop(context(), paths_, settings_, *request);
  // The session gives its own copy up before it answers the client; ours must not outlive it.
  session_lock.reset();
  if (!updated) return fail(updated.error());
  log_recovery(updated->recovery, updated->warnings);
  ipc::UpdateDone done;
  done.removed = updated->removed;
  (void)job_.session.send(done);
  return 0;
}

int Worker::recover() {
  auto recovered = spool::recover_maildrop(context(), paths_, settings_);
  ipc::MaildropRecovered answer;
  if (recovered) {
    answer.outcome = outcome_of(recovered->outcome);
    answer.text.set(log_recovery(recovered->outcome, recovered->warnings));
  } else {
    answer.text.set(recovered.error().message());
  }
  (void)job_.monitor.send(answer);
  return recovered ? 0 : fail(recovered.error());
}

/// Forked ahead of its job. Errors: closed (nobody needs us any more), malformed, io. A frame of its own, for those who do not wait.
[[gnu::noinline]] base::Status wait_for_work(Job& job) {
  ::closelog();  // its descriptor is closed now, and the next one gets its number
  const std::array<int, 1> keep{job.monitor.fd()};
  priv::close_all_except(keep);
  if (auto closed = priv::close_standard_streams(); !closed) return closed;
  auto frame = job.monitor.receive();
  if (!frame) return frame.error();
  ipc::StartMaildrop start;
  const bool whole = frame->read(start) && frame->descriptors.size() == 1 && start.work <= static_cast<std::uint32_t>(Work::update);
  if (!whole) return Error{ErrorKind::malformed, "work of a wrong form"};
  priv::set_process_name("popper-maildrop");
  job.work = static_cast<Work>(start.work);
  job.name = start.name.view();
  job.uid = start.uid;
  job.gid = start.gid;
  job.home = start.home.view();
  job.state_folder = start.state_folder.view();
  // Not at a number that a library may take for a descriptor of its own.
  job.session = ipc::Channel{base::UniqueFd{::fcntl(frame->descriptors[0].get(), F_DUPFD_CLOEXEC, job.monitor.fd() + 1)}};
  return job.session.valid() ? base::Status{} : base::Status{Error::from_errno(errno, "fcntl")};
}

}  // namespace

int run_maildrop(Job job) {
  // Sent when another program waits for our lease; it can wait.
  (void)::signal(SIGIO, SIG_IGN);
  ipc::log_to(job.monitor);
  if (auto work = job.waits ? wait_for_work(job) : base::Status{}; !work) {
    if (work.error().kind() == ErrorKind::closed) return 0;
    log::error("maildrop process that waited for work: {}", work.error().message());
    return 3;
  }
  auto prepared = give_up_rights(job);
  if (!prepared) {
    log::error("maildrop of {}: {}", job.name, prepared.error().message());
    if (job.session.valid()) (void)job.session.send(ipc::MaildropFailed{ipc::MaildropFailure::temporary});
    return 3;
  }
  Worker worker{job, *prepared};
  switch (job.work) {
    case Work::open:
      return worker.open();
    case Work::update:
      return worker.update();
    case Work::recover:
      return worker.recover();
  }
  return 4;
}

}  // namespace qpop::maildrop
