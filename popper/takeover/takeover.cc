// SPDX-License-Identifier: MIT
// Comparing and importing unique-ids.
// Runs as: the owner of the mail.
#include "popper/takeover/takeover.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>
#include <set>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/files/dotlock.h"
#include "common/files/io.h"
#include "common/log/log.h"
#include "common/priv/drop.h"
#include "common/mbox/unique_id.h"
#include "common/spool/locks.h"
#include "common/spool/deferred.h"
#include "common/spool/maildrop.h"
#include "common/spool/naming.h"
#include "popper/maildrop/monitor_dotlock.h"
#include "popper/maildrop/user_rules.h"
#include "popper/takeover/foreign_listing.h"
#include "popper/takeover/peer.h"

namespace qpop::takeover {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;
using listing::Record;

constexpr std::size_t kMostFile = 1024UL * 1024 * 1024;

/// A copy of the state folder that goes away again, also when a signal ends us. One at a time.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    remove();
    live = nullptr;
  }
  /// Async-signal-safe.
  void remove() const {
    if (!fd_.valid()) return;
    for (const auto* name : {spool::kSessionName, spool::kIndexName, spool::kIndexTemporaryName, spool::kUniqueIdsName, spool::kUniqueIdsTemporaryName,
                             spool::kExpungedName, spool::kExpungedTemporaryName, spool::kReserveName, spool::kExpiryName, spool::kLoginName}) {
      ::unlinkat(fd_.get(), name, 0);
    }
    ::rmdir(path_.c_str());
  }
  /// To be called once. What is there must be copied whole: a part would pass for a maildrop that was never seen, and its unique-ids
  /// would be given anew.
  Status copy(int state_folder) {
    live = this;
    for (const int number : {SIGHUP, SIGINT, SIGTERM}) (void)::signal(number, remove_and_die);
    if (::mkdtemp(path_.data()) == nullptr) return Error::from_errno(errno, "mkdtemp").at("copy the state folder to", path_);
    fd_.reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd_.valid()) return Error::from_errno(errno, "open").at("copy the state folder to", path_);
    for (const std::string name : {spool::kIndexName, spool::kUniqueIdsName, spool::kExpungedName}) {
      if (auto copied = copy_file(state_folder, name); !copied) return copied.error().at("copy", name);
    }
    return {};
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  Status copy_file(int state_folder, const std::string& name) {
    files::SystemFileSystem fs;
    auto from = fs.open_at(state_folder, name, O_RDONLY | O_NONBLOCK, 0);
    if (!from) return from.error().kind() == ErrorKind::not_found ? Status{} : from.error();
    auto size = fs.status(from->get());
    if (!size) return size.error();
    auto to = fs.open_at(fd_.get(), name, O_WRONLY | O_CREAT, 0600);
    if (!to) return to.error();
    return files::copy_octets(fs, from->get(), 0, to->get(), 0, size->identity.size, [](std::string_view) {});
  }

  static void remove_and_die(int number);

  static const Scratch* live;
  std::string path_ = "/tmp/popper-compare.XXXXXX";
  UniqueFd fd_;
};

const Scratch* Scratch::live = nullptr;

void Scratch::remove_and_die(int number) {
  if (live != nullptr) live->remove();
  (void)::signal(number, SIG_DFL);
  ::raise(number);  // delivered when we return
}

Result<std::string> read_listing(const UniqueFd& file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return Error::from_errno(errno, "fstat");
  if (!S_ISREG(status.st_mode)) return Error{ErrorKind::unsafe, "not a regular file"};
  return base::read_whole(file.get(), kMostFile);
}

class Work {
 public:
  explicit Work(Task& task) : task_(task), rules_(maildrop::read_user_rules(task.job)), dotlock_(task.job.monitor) {}

  Status prepare() {
    spool_.reset(::open(rules_.placement.spool.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!spool_.valid()) return Error::from_errno(errno, "open").at("folder", rules_.placement.spool.folder);
    state_.reset(::open(task_.job.state_folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!state_.valid()) return Error::from_errno(errno, "open").at("folder", task_.job.state_folder);
    // A half moved spool is no listing of anybody's mail.
    auto interrupted = files::exists(fs_, state_.get(), spool::kJournalName);
    if (!interrupted) return interrupted.error().at("look for a journal in", task_.job.state_folder);
    if (*interrupted) return Error{ErrorKind::busy, "an update was interrupted; complete it first with popper --recover"}.at("maildrop of", task_.job.name);
    const auto text = task_.file.valid() ? read_listing(task_.file) : ask_peer(task_.against, task_.job.name, task_.password);
    if (!text) return text.error().at("listing", task_.against);
    auto entries = parse_foreign_listing(*text);
    if (!entries) return entries.error().at("listing", task_.against);
    entries_ = std::move(*entries);
    own_dotlock_.emplace(fs_, clock_, spool_.get(), rules_.placement.spool.name, maildrop::lock_creation(rules_.settings));
    return {};
  }

  Result<int> compare() {
    Scratch scratch;
    if (auto copied = scratch.copy(state_.get()); !copied) return copied.error();
    auto records = list(scratch.fd());
    if (!records) return records.error();
    std::set<std::string, std::less<>> known;
    for (const auto& entry : entries_) known.insert(entry.unique_id);
    std::size_t again = 0;
    for (std::size_t i = 0; i < records->size(); ++i) {
      if (known.contains((*records)[i].unique_id())) continue;
      fmt::print("message {}: {} is not known to the other server\n", i + 1, (*records)[i].unique_id());
      ++again;
    }
    fmt::print("{}: {} messages here, {} there; a client would download {} again\n", task_.job.name, records->size(), entries_.size(), again);
    return again == 0 ? 0 : kDownloadsAgain;
  }

  Result<int> import() {
    // No session may have shown other unique-ids meanwhile.
    auto session = spool::lock_session(context(), state_.get(), spool::MaildropSettings{}.open_timeout_ms);
    if (!session) return session.error();
    // Other unique-ids make another listing, in which what is deleted would not be found: it leaves the spool before.
    spool::Warnings warnings;
    auto compacted = spool::compact_maildrop(context(), paths(state_.get()), maildrop::maildrop_settings(rules_.settings), warnings);
    for (const auto& warning : warnings) log::warning("maildrop of {}: {}", task_.job.name, warning);
    if (!compacted) return compacted.error().at("remove deleted messages from the spool");
    Scratch scratch;
    if (auto copied = scratch.copy(state_.get()); !copied) return copied.error();
    auto records = list(scratch.fd());
    if (!records) return records.error();
    const auto matches = match_entries(*records, entries_);
    std::set<std::string, std::less<>> taken;
    std::size_t done = 0;
    for (std::size_t i = 0; i < records->size(); ++i) {
      if (!matches[i] || !taken.insert(entries_[*matches[i]].unique_id).second) continue;
      mbox::set_unique_id((*records)[i], entries_[*matches[i]].unique_id);
      ++done;
    }
    if (auto kept = spool::import_unique_ids(context(), paths(state_.get()), *records); !kept) return kept.error();
    fmt::print("{}: {} messages here, {} there; {} have the unique-id of the other server now\n", task_.job.name, records->size(), entries_.size(), done);
    return done == records->size() ? 0 : kDownloadsAgain;
  }

 private:
  spool::MaildropPaths paths(int state) {
    return {spool_.get(), rules_.placement.spool.name, state, task_.job.uid, maildrop::unique_id_form(rules_.settings)};
  }
  /// As for a login: only where he says himself where his spool lies does he make the lock file himself.
  spool::Context context() {
    if (rules_.placed_by_user) return {fs_, clock_, *own_dotlock_};
    return {fs_, clock_, dotlock_};
  }
  Result<std::vector<Record>> list(int state);

  Task& task_;
  maildrop::UserRules rules_;
  files::SystemFileSystem fs_;
  base::SystemClock clock_;
  UniqueFd spool_;
  UniqueFd state_;
  maildrop::MonitorDotlock dotlock_;
  std::optional<files::DirectDotlock> own_dotlock_;
  std::vector<ForeignEntry> entries_;
};

/// The messages with the unique-ids that clients would see, with a copy of the state folder; nothing is taken over, nothing expires.
Result<std::vector<Record>> Work::list(int state) {
  auto settings = maildrop::maildrop_settings(rules_.settings);
  settings.expire_days = -1;
  settings.login_delay_s = 0;
  settings.expunge.compacts = false;
  auto opened = spool::open_maildrop(context(), paths(state), settings);
  if (!opened) return opened.error();
  for (const auto& warning : opened->warnings) log::warning("maildrop of {}: {}", task_.job.name, warning);
  auto reader = listing::ListingReader::open(opened->listing.get());
  auto records = reader ? reader->all_records() : Result<std::vector<Record>>{reader.error()};
  if (!records) return records;
  auto hidden = opened->hidden.valid() ? listing::read_hidden(opened->hidden.get(), reader->header()) : Result<listing::HiddenMessages>{listing::HiddenMessages{}};
  if (!hidden) return hidden.error();
  auto& numbers = hidden->numbers;
  if (opened->hidden_first && (numbers.empty() || numbers.front() != 0)) numbers.insert(numbers.begin(), 0);
  for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) records->erase(records->begin() + *number);
  return records;
}

}  // namespace

int run_takeover(Task task) {
  auto ready = priv::drop_to(task.job.uid, task.job.gid);
  if (ready) ready = priv::harden_process();
  if (!ready) {
    log::fatal("{}", ready.error().message());
    return kFailed;
  }
  Work work{task};
  if (auto prepared = work.prepare(); !prepared) {
    log::error("{}", prepared.error().message());
    return kFailed;
  }
  auto code = task.import ? work.import() : work.compare();
  if (!code) log::error("{}", code.error().at(task.import ? "import unique-ids" : "compare unique-ids", task.job.name).message());
  return code ? *code : kFailed;
}

}  // namespace qpop::takeover
