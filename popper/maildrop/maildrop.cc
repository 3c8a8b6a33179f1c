// SPDX-License-Identifier: MIT
// The maildrop role: take descriptors, drop, sandbox, one job, one answer.
// Runs as: the owner of the mail.
#include "popper/maildrop/maildrop.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <memory>

#include "common/base/clock.h"
#include "common/check/reading.h"
#include "common/ipc/log_sink.h"
#include "common/priv/drop.h"
#include "common/priv/sandbox.h"
#include "common/files/dotlock.h"
#include "common/files/file_system.h"
#include "common/spool/maildrop.h"
#include "common/spool/spool_bytes.h"
#include "common/spool/spool_file.h"
#include "popper/maildrop/monitor_dotlock.h"

namespace qpop::maildrop {

namespace {

using base::Error;
using base::ErrorKind;

// An update waits longer than an open: the client has asked for it, and mail that stays is mail that is fetched twice.
constexpr std::int64_t kUpdatePatience = 4;
constexpr int kBitmapMs = 60'000;
// More messages than any maildrop holds; bounds what a captured session can make us allocate.
constexpr std::uint32_t kMostMessages = 64U * 1024 * 1024;

struct Folders {
  base::UniqueFd spool;
  base::UniqueFd state;
};

base::Result<base::UniqueFd> open_folder(const std::string& path) {
  base::UniqueFd fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  // A spool folder that can be searched but not listed is enough.
  if (!fd.valid() && errno == EACCES) fd.reset(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return Error::from_errno(errno, "open").at("folder", path);
  return fd;
}

base::Result<Folders> give_up_rights(const Job& job) {
  const std::array<int, 2> keep{job.monitor.fd(), job.session.fd()};
  priv::close_all_except(keep);
  if (auto done = priv::close_standard_streams(); !done) return done.error();
  if (auto done = priv::drop_to(job.uid, job.gid); !done) return done.error();
  if (auto done = priv::harden_process(); !done) return done.error();
  auto spool = open_folder(job.spool_dir);
  if (!spool) return spool.error();
  auto state = open_folder(job.state_folder);
  if (!state) return state.error();
  const std::array<int, 2> reach{spool->get(), state->get()};
  for (const auto& done : {priv::limit_resources({}), priv::restrict_files_to(reach), priv::restrict_calls_of_file_role()}) {
    if (!done && done.error().kind() != ErrorKind::unsupported) return done.error();
  }
  return Folders{std::move(*spool), std::move(*state)};
}

spool::MailLockKinds lock_kinds(std::string_view words) {
  spool::MailLockKinds kinds{false, false, false};
  while (!words.empty()) {
    const auto word = words.substr(0, words.find(' '));
    kinds.dotlock |= word == "dotlock";
    kinds.fcntl |= word == "fcntl";
    kinds.flock |= word == "flock";
    kinds.lease |= word == "lease";
    words.remove_prefix(std::min(words.size(), word.size() + 1));
  }
  return kinds;
}

ipc::MaildropFailure classify(const Error& error, Work work) {
  switch (error.kind()) {
    case ErrorKind::busy:
      // Only the session lock is another session; a mail lock that was not to be had may be free later.
      return error.detail().starts_with("session") ? ipc::MaildropFailure::in_use : ipc::MaildropFailure::locked;
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
  Worker(Job& job, Folders& folders)
      : job_(job),
        paths_{folders.spool.get(), job.name, folders.state.get(), job.uid},
        dotlock_(job.monitor) {
    settings_.locks = lock_kinds(job.mail_locks);
    settings_.open_timeout_ms = static_cast<std::uint32_t>(job.lock_timeout_s * 1000);
    settings_.on_lost_recovery = [this](spool::Recovery recovery, const spool::Warnings& warnings) { log_recovery(recovery, warnings); };
    settings_.update_timeout_ms = static_cast<std::uint32_t>(kUpdatePatience * job.lock_timeout_s * 1000);
  }
  int open();
  int update();
  int recover();

 private:
  [[nodiscard]] spool::Context context() { return {files_, clock_, dotlock_}; }
  int fail(const Error& error);
  std::string diagnosis();
  std::string log_recovery(spool::Recovery recovery, const std::vector<std::string>& warnings) const;
  [[nodiscard]] std::string spool_path() const { return job_.spool_dir + "/" + job_.name; }
  base::Result<spool::UpdateRequest> read_request(base::UniqueFd& session_lock, base::UniqueFd& listing);

  Job& job_;
  files::SystemFileSystem files_;
  base::SystemClock clock_;
  spool::MaildropPaths paths_;
  spool::MaildropSettings settings_;
  MonitorDotlock dotlock_;
};

/// What popcheck would say of a spool that cannot be read, for the log: where, what, and the command that helps.
std::string Worker::diagnosis() {
  auto fd = spool::open_spool(files_, paths_, O_RDONLY);
  auto size = fd ? spool::size_of(files_, fd->get()) : base::Result<std::uint64_t>{fd.error()};
  if (!size) return {};
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
  log::error("{}{}", error.at(verb, spool_path()).message(), unreadable ? diagnosis() : std::string{});
  if (job_.session.valid()) (void)job_.session.send(failed);
  return job_.work == Work::update ? kUpdateFailed : 0;
}

/// What a recovery did, and whatever else works but needs attention. A journal that did not fit its spool is an error wherever it is met:
/// somebody has to look at the mail. Returns the text of the warnings.
std::string Worker::log_recovery(spool::Recovery recovery, const std::vector<std::string>& warnings) const {
  const std::string text = fmt::format("{}", fmt::join(warnings, "; "));
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

int Worker::open() {
  auto opened = spool::open_maildrop(context(), paths_, settings_);
  if (!opened) return fail(opened.error());
  log_recovery(opened->recovery, opened->warnings);
  ipc::MaildropOpened answer;
  answer.has_spool = opened->spool.valid() ? 1 : 0;
  std::vector<int> fds{opened->session_lock.get(), opened->listing.get()};
  if (opened->spool.valid()) fds.push_back(opened->spool.get());
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
  request.deleted.resize(begin.count);
  constexpr auto kBits = static_cast<std::uint32_t>(ipc::UpdatePart::kBits);
  for (std::uint32_t number = 0; number * kBits < begin.count; ++number) {
    auto next = job_.session.receive(kBitmapMs);
    ipc::UpdatePart part;
    if (!next) return next.error();
    if (!next->read(part) || part.number != number) return Error{ErrorKind::malformed, "update request of a wrong form"};
    for (std::uint32_t i = 0; i < kBits && number * kBits + i < begin.count; ++i) {
      request.deleted[number * kBits + i] = ((unsigned{part.bits.at(i / 8)} >> (i % 8)) & 1U) != 0;
    }
  }
  return request;
}

int Worker::update() {
  base::UniqueFd session_lock;
  base::UniqueFd listing;
  auto request = read_request(session_lock, listing);
  if (!request) return fail(request.error());
  request->committed = [&] { (void)job_.session.send(ipc::UpdateCommitted{}); };
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

}  // namespace

int run_maildrop(Job job) {
  // Sent when another program waits for our lease; it can wait.
  (void)::signal(SIGIO, SIG_IGN);
  ipc::log_to(job.monitor);
  auto folders = give_up_rights(job);
  if (!folders) {
    log::error("maildrop of {}: {}", job.name, folders.error().message());
    if (job.session.valid()) (void)job.session.send(ipc::MaildropFailed{ipc::MaildropFailure::temporary});
    return 3;
  }
  Worker worker{job, *folders};
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
