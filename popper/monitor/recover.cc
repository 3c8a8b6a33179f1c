// SPDX-License-Identifier: MIT
// popper --recover: completes interrupted updates, at boot before mail is delivered or whenever an administrator asks.
//
//  1. The state folders that hold a journal, committed or not, are collected, and where messages are not to stay hidden those with a file
//     of hidden messages; their names say whose maildrop each is.
//  2. Each gets a maildrop process, as after a crash under a running server: it drops to the owner, takes the mail locks (so that a
//     server at work is waited for), recovers, and says what it found.
//  3. One line a maildrop goes to standard output, and a summary.
// Runs as: root, or the user who started it.
#include "popper/monitor/recover.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "common/base/text.h"
#include "common/log/log.h"
#include "popper/monitor/monitor.h"

namespace qpop::monitor {

namespace {

using config::Opt;
using ipc::RecoveryOutcome;

constexpr std::size_t kJobsAtOnce = 8;  // one spool whose lock is held must not keep the others waiting

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

/// Names in a folder without those that begin with a dot; none when it does not exist.
base::Result<std::vector<std::string>> names_in(const std::string& folder) {
  const std::unique_ptr<DIR, CloseDir> dir{::opendir(folder.c_str())};
  std::vector<std::string> names;
  if (dir == nullptr && errno == ENOENT) return names;
  if (dir == nullptr) return base::Error::from_errno(errno, "opendir").at("look for journals", folder);
  errno = 0;
  for (const dirent* entry = nullptr; (entry = ::readdir(dir.get())) != nullptr; errno = 0) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  if (errno != 0) return base::Error::from_errno(errno, "readdir").at("look for journals", folder);
  std::ranges::sort(names);
  return names;
}

void say(const std::string& line) {
  fmt::print("{}\n", line);
  (void)std::fflush(stdout);
}

/// "completed" and the like; the text of the maildrop process stands where only it knows the details.
std::string describe(RecoveryOutcome outcome, const std::string& text) {
  switch (outcome) {
    case RecoveryOutcome::nothing:
      return "nothing to recover";
    case RecoveryOutcome::redone:
      return "update completed";
    case RecoveryOutcome::finished:
      return "update was complete, journal removed";
    case RecoveryOutcome::salvaged:
    case RecoveryOutcome::set_aside:
      return text;
    case RecoveryOutcome::failed:
      break;
  }
  return "not recovered: " + text;
}

}  // namespace

base::Result<bool> has_file(const std::string& folder, const char* name) {
  struct stat status {};
  if (::lstat((folder + "/" + name).c_str(), &status) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return base::Error::from_errno(errno, "lstat").at("look for", folder + "/" + name);
}

/// The owner of a state folder, from its name and the accounts of today; nothing is made.
base::Result<MailOwner> Monitor::owner_of_folder(const std::string& parent, const std::string& entry) {
  const auto refused = [](std::string why) { return base::Error{base::ErrorKind::denied, std::move(why)}; };
  MailOwner owner;
  owner.state_folder = settings_.text(Opt::state_dir) + parent + entry;
  owner.name = maildrop_name(parent, entry);
  if (!is_safe_name(owner.name)) return refused("the folder's name is not that of a maildrop");
  priv::Account account;
  if (parent == kVirtualFolders) {
    if (!environment_.mail_user) return refused("mail-user is not set, so the mail has no owner");
    account = *environment_.mail_user;
  } else {
    if (!environment_.root) return refused("the mail of a system user; only root can recover it");
    auto found = priv::find_account(owner.name);
    if (!found && found.error().kind() == base::ErrorKind::not_found) return refused("the account does not exist any more");
    if (!found) return found.error();
    if (fmt::format("{}.{}", found->uid, owner.name) != entry) return refused(fmt::format("the account has another uid now, {}", found->uid));
    account = *found;
  }
  owner.uid = account.uid;
  owner.gid = account.gid;
  if (parent == kSystemFolders) owner.home = account.home;
  if (auto placed = place_mail(owner); !placed) return placed.error();
  if (environment_.root && owner.uid == 0) return refused("uid 0 owns no maildrop");
  struct stat status {};
  if (::lstat(owner.state_folder.c_str(), &status) != 0) return base::Error::from_errno(errno, "lstat");
  if (!S_ISDIR(status.st_mode) || status.st_uid != owner.uid) {
    return refused(fmt::format("must be a folder of uid {}, is of uid {}", owner.uid, status.st_uid));
  }
  return owner;
}

std::string Monitor::maildrop_name(std::string_view parent, const std::string& entry) {
  if (parent == kVirtualFolders) return entry;
  const auto dot = entry.find('.');
  return dot == std::string::npos ? "" : entry.substr(dot + 1);
}

/// Collects what is to be recovered; `user` empty: all.
base::Status Monitor::find_journals(std::string_view user) {
  const bool hides = settings_.text(Opt::expunge) == "deferred";
  for (const std::string parent : {kSystemFolders, kVirtualFolders}) {
    auto names = names_in(settings_.text(Opt::state_dir) + parent);
    if (!names) return names.error();
    for (const auto& entry : *names) {
      const auto name = maildrop_name(parent, entry);
      if (!user.empty() && name != user) continue;
      const auto folder = fmt::format("{}{}{}", settings_.text(Opt::state_dir), parent, entry);
      auto journal = has_file(folder, kJournalName);
      auto unfinished = has_file(folder, kJournalTemporaryName);
      auto hidden = hides ? base::Result<bool>{false} : has_file(folder, kExpungedName);
      if (journal && unfinished && hidden && !*journal && !*unfinished && !*hidden) continue;
      RecoveryRun::Item item;
      item.label = fmt::format("{}", base::escape_untrusted(name.empty() ? entry : name, 80));
      item.folder = folder;
      item.only_hidden = journal && unfinished && !*journal && !*unfinished;
      item.committed = (journal && *journal) || (hidden && *hidden);
      const auto& unseen = !journal ? journal : !unfinished ? unfinished : hidden;
      auto owner = unseen ? owner_of_folder(parent, entry) : base::Result<MailOwner>{unseen.error()};
      if (owner) {
        item.owner = std::move(*owner);
        recovery_->waiting.push_back(std::move(item));
      } else {
        report_recovery(item, RecoveryOutcome::failed, fmt::format("{} (state folder {})", owner.error().message(), folder));
      }
    }
  }
  return {};
}

/// A single user that holds no journal: is there such a maildrop at all?
void Monitor::report_without_journal(const std::string& user) {
  RecoveryRun::Item item;
  item.label = base::escape_untrusted(user, 80);
  auto account = environment_.mail_user || !is_safe_name(user) ? base::Result<priv::Account>{base::Error{base::ErrorKind::not_found, ""}} : priv::find_account(user);
  bool known = account.has_value();
  if (is_safe_name(user)) {
    for (const auto& path : {settings_.text(Opt::spool_dir), settings_.text(Opt::state_dir) + "/v"}) {
      const auto found = has_file(path, user.c_str());
      known = known || (found && *found);
    }
  }
  if (known) return report_recovery(item, RecoveryOutcome::nothing, "");
  report_recovery(item, RecoveryOutcome::failed, "no such account or maildrop");
}

void Monitor::report_recovery(const RecoveryRun::Item& item, RecoveryOutcome outcome, const std::string& text) {
  auto line = describe(outcome, text);
  if (outcome == RecoveryOutcome::nothing && !item.folder.empty() && !item.committed) {
    const auto left = has_file(item.folder, kJournalTemporaryName);
    if (left && !*left) line = "update had not been committed, taken back";
  }
  say(fmt::format("{}: {}", item.label, line));
  ++(outcome == RecoveryOutcome::failed ? recovery_->failed : outcome == RecoveryOutcome::nothing && (item.folder.empty() || item.only_hidden) ? recovery_->without : recovery_->done);
  if (outcome == RecoveryOutcome::failed) log::error("recover {}: {}", item.label, text);
  if (outcome == RecoveryOutcome::salvaged || outcome == RecoveryOutcome::set_aside) ++recovery_->to_be_looked_at;
}

void Monitor::start_recoveries() {
  while (!recovery_->waiting.empty() && (stopping_ || jobs_.size() < kJobsAtOnce)) {
    auto item = std::move(recovery_->waiting.front());
    recovery_->waiting.pop_front();
    const bool started = !stopping_ && spawn_maildrop(MaildropWork::recover, item.owner, nullptr);
    if (started) {
      recovery_->at_work[item.owner.state_folder] = std::move(item);
    } else {
      report_recovery(item, RecoveryOutcome::failed, stopping_ ? "stopped by a signal" : "no process could be started; the log has the reason");
    }
  }
}

/// A process of ours ended; `how` tells what it did not say itself.
void Monitor::on_recovery_end(const MaildropJob& job, const std::string& how) {
  const auto found = recovery_->at_work.find(job.owner.state_folder);
  if (found == recovery_->at_work.end()) return;
  const auto outcome = job.recovered ? job.recovered->outcome : RecoveryOutcome::failed;
  const auto text = job.recovered ? base::escape_untrusted(job.recovered->text.view(), 600) : fmt::format("its process ended ({}); the log may say why", how);
  report_recovery(found->second, outcome, text);
  recovery_->at_work.erase(found);
}

int Monitor::recover(const std::string& user) {
  recovery_ = std::make_unique<RecoveryRun>();
  if (auto ready = prepare_loop(); !ready) {
    log::fatal("{}", ready.error().at("start").message());
    return 3;
  }
  if (auto found = find_journals(user); !found) {
    log::fatal("{}", found.error().message());
    return 3;
  }
  const bool any = !recovery_->waiting.empty() || recovery_->failed != 0;
  if (!any && !user.empty()) report_without_journal(user);
  start_recoveries();
  if (const int code = loop(); code != 0) return code;
  const auto& run = *recovery_;
  if (!any && user.empty()) {
    say("nothing to recover");
  } else if (user.empty()) {
    std::string summary = fmt::format("{} recovered, {} not recovered", run.done, run.failed);
    if (run.to_be_looked_at != 0) summary += fmt::format("; {} to be looked at: messages may be there that had been deleted", run.to_be_looked_at);
    say(summary);
  }
  return run.failed == 0 ? 0 : kNotRecovered;
}

}  // namespace qpop::monitor
