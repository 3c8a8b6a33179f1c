// SPDX-License-Identifier: MIT
// Users and files become targets.
// Runs as: root, or the caller. Reads folders and the user database, never mail.
#include "popcheck/target.h"

#include <dirent.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>

#include "common/base/text.h"
#include "common/config/placement.h"
#include "common/config/reader.h"
#include "common/digest/digest.h"
#include "common/priv/drop.h"
#include "common/spool/locks.h"
#include "popcheck/ledger.h"

namespace qpop::popcheck {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using config::Opt;

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

struct Place {
  std::string folder;
  std::string name;
};

Place split(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

/// The folder with all its links followed, so that one spool has one path.
std::string resolved(const std::string& folder) {
  std::error_code failed;
  auto real = std::filesystem::canonical(folder, failed);
  return failed ? folder : real.string();
}

bool is_spool_name(std::string_view name) {
  return !name.empty() && name.front() != '.' && !name.ends_with(".lock") && !name.ends_with(".cache");
}

class Finder {
 public:
  Finder(const Command& command, const config::Settings& settings)
      : command_(command), settings_(settings), root_(::geteuid() == 0), spool_dir_(resolved(settings.text(Opt::spool_dir))) {}

  Result<std::vector<Target>> run() {
    if (command_.all && !settings_.text(Opt::home_dir_mail).empty()) {
      every_home();
    } else if (command_.all) {
      if (auto walked = walk(spool_dir_, 0); !walked) return walked.error();
    }
    for (const auto& name : command_.targets) add(name);
    if (!command_.all && command_.targets.empty()) add_caller();
    return std::move(out_);
  }
  Target run_for(const std::string& path) {
    add_file(split(path), {}, true);
    return std::move(out_.front());
  }

 private:
  void add_caller() {
    if (auto account = priv::find_account(::getuid())) return add(account->name);
    refuse("caller", "no user has this uid; name a file");
  }

  void refuse(const std::string& name, std::string fault) {
    Target target;
    target.label = base::escape_untrusted(name, 80);
    target.fault = std::move(fault);
    out_.push_back(std::move(target));
  }

  void add(const std::string& name) {
    struct stat status {};
    // A slash makes it a file; so does the ending of a ledger.
    if (name.find('/') != std::string::npos || name.ends_with(kLedgerEnding) || name.ends_with(kUndoneEnding)) return add_file(split(name));
    auto account = priv::find_account(name);
    if (!settings_.text(Opt::mail_user).empty()) return add_user(name, {});
    if (account) return add_user(name, account->home);
    // An account of the database alone has a spool and no system user.
    const auto alone = config::place(settings_, name, {}).spool;
    if (is_spool_name(name) && ::lstat(base::path_in(alone.folder, alone.name).c_str(), &status) == 0) return add_user(name, {});
    if (::lstat(name.c_str(), &status) == 0) return add_file(split(name));
    refuse(name, "no such user, and no such file");
  }

  void add_user(const std::string& name, const std::string& home) {
    // It becomes a part of paths, and must be no other file of somebody's.
    if (!is_spool_name(name)) return refuse(name, "not a name that a spool can have");
    const auto spool = config::place(settings_, name, home).spool;
    add_file({spool.folder, spool.name}, name);
  }

  /// Where Qpopper would have put the temporary drop of a user.
  void set_drops(Target& target) {
    auto account = priv::find_account(target.user);
    for (const auto& drop : config::place(settings_, target.user, account ? account->home : "").temporary_drops)
      target.drops.push_back(base::path_in(drop.folder, drop.name));
  }

  /// `any_name`: where a user's mail lies in his home, the configuration says how it is called.
  void add_file(const Place& place, const std::string& user = {}, bool any_name = false) {
    Target target;
    target.folder = resolved(place.folder);
    target.name = place.name;
    target.user = user;
    target.label = base::escape_untrusted(target.path(), 200);
    const bool shared = target.folder == spool_dir_ || target.folder.starts_with(base::path_in(spool_dir_, ""));
    if (shared && user.empty()) target.user = target.name;
    target.in_spool_dir = shared;
    target.argument = user.empty() ? target.label : user;
    const bool any = !user.empty() || (any_name && !shared);
    if (any ? target.name.empty() || target.name == "." || target.name == ".." : !is_spool_name(target.name)) target.fault = "not the name of a spool";
    if (target.fault.empty()) target.fault = told_of_undone(target);
    if (target.fault.empty()) set_owner(target);
    if (target.fault.empty()) set_state(target, shared || !user.empty());
    if (target.fault.empty() && !target.user.empty() && is_spool_name(target.user)) set_drops(target);
    out_.push_back(std::move(target));
  }

  /// A ledger whose repair is taken back is asked for again, under its new name or the old one.
  [[nodiscard]] std::string told_of_undone(const Target& target) const {
    if (command_.verb != Verb::undo && command_.verb != Verb::verify) return {};
    struct stat status {};
    if (target.name.ends_with(kUndoneEnding)) return "this repair was taken back already, and the spool is no longer as it made it";
    if (!target.name.ends_with(kLedgerEnding) || ::lstat(target.path().c_str(), &status) == 0) return {};
    const auto undone = target.path().substr(0, target.path().size() - kLedgerEnding.size()) + std::string{kUndoneEnding};
    if (::lstat(undone.c_str(), &status) != 0) return {};
    return fmt::format("this repair was taken back already; its ledger is now {}", base::escape_untrusted(undone, 200));
  }

  void set_owner(Target& target) {
    struct stat status {};
    const bool there = ::lstat(target.path().c_str(), &status) == 0;
    if (!there && (errno != ENOENT || target.user.empty())) {
      target.fault = Error::from_errno(errno, "open").message();
      return;
    }
    const auto& mail_user = settings_.text(Opt::mail_user);
    auto account = mail_user.empty() || target.user.empty() ? Result<priv::Account>{Error{ErrorKind::not_found, ""}} : priv::find_account(mail_user);
    if (!account && !target.user.empty()) account = priv::find_account(target.user);
    target.uid = account ? account->uid : there ? status.st_uid : ::geteuid();
    target.gid = account ? account->gid : there ? status.st_gid : ::getegid();
    if (!account && there) {
      if (auto owner = priv::find_account(status.st_uid)) target.gid = owner->gid;
    }
    if (root_ && target.uid == 0) target.fault = "belongs to root; mail is not read with the rights of root";
    // Whoever is not root looks with his own rights; that a spool is another's is a finding.
    if (!root_) {
      target.uid = ::geteuid();
      target.gid = ::getegid();
    }
  }

  void set_state(Target& target, bool shared) {
    const auto& state = settings_.text(Opt::state_dir);
    if (shared) {
      struct stat status {};
      const auto exists = [&](const std::string& path) { return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == target.uid; };
      const auto of_database = fmt::format("{}/v/{}", state, target.user);
      const auto of_system = fmt::format("{}/u/{}.{}", state, target.uid, target.user);
      // A server that is not started by root has no system users.
      const bool is_virtual = !settings_.text(Opt::mail_user).empty() || exists(of_database) || (!root_ && !exists(of_system));
      std::string folder = is_virtual ? of_database : of_system;
      const bool there = exists(folder);
      struct stat above {};
      // Root makes what popper would make; a server that is the caller's own has its folders already, or we make them too.
      const bool can_make = !there && ::stat(state.c_str(), &above) == 0 && above.st_uid == ::geteuid();
      if (there || can_make) {
        target.state = std::move(folder);
        target.state_of_popper = true;
        target.make_state = !there;
        return;
      }
    }
    std::string parent = command_.ledger_dir;
    if (parent.empty()) {
      auto account = priv::find_account(target.uid);
      const char* home = root_ ? nullptr : std::getenv("HOME");
      if (account && !account->home.empty()) parent = account->home + "/.popcheck";
      if (!account && home != nullptr) parent = std::string{home} + "/.popcheck";
    }
    if (parent.empty()) return;
    const auto mark = base::to_hex(std::string_view{reinterpret_cast<const char*>(digest::xxh3_128(target.path()).data()), 4});
    target.state = fmt::format("{}/{}-{}", parent, target.name, mark);
  }

  /// spool-dir itself, and one or two levels of folders with names of one letter.
  base::Status walk(const std::string& folder, int depth) {
    const std::unique_ptr<DIR, CloseDir> dir{::opendir(folder.c_str())};
    if (dir == nullptr) return Error::from_errno(errno, "opendir").at("read the spool folder", folder);
    std::vector<std::string> names;
    for (const dirent* entry = nullptr; (entry = ::readdir(dir.get())) != nullptr;) {
      if (is_spool_name(entry->d_name)) names.emplace_back(entry->d_name);
    }
    std::ranges::sort(names);
    struct stat own {};
    if (::fstat(::dirfd(dir.get()), &own) != 0) return Error::from_errno(errno, "fstat").at("read the spool folder", folder);
    for (const auto& name : names) {
      const auto path = base::path_in(folder, name);
      struct stat status {};
      if (::lstat(path.c_str(), &status) != 0) continue;
      if (S_ISDIR(status.st_mode)) {
        // Only folders of hash-spool: whoever may write into the spool folder could make one and put files of other users' names into it.
        const bool trusted = status.st_uid == 0 || status.st_uid == own.st_uid;
        if (depth >= 2 || name.size() != 1 || !trusted) continue;
        if (auto walked = walk(path, depth + 1); !walked) return walked;
        continue;
      }
      // Somebody else's is not ours to look at.
      if (!root_ && status.st_uid != ::geteuid()) continue;
      add_file({folder, name});
    }
    return {};
  }

  void every_home() {
    ::setpwent();
    std::vector<std::pair<std::string, std::string>> users;
    while (const passwd* entry = ::getpwent()) users.emplace_back(entry->pw_name, entry->pw_dir);
    ::endpwent();
    std::ranges::sort(users);
    for (const auto& [name, home] : users) {
      struct stat status {};
      const auto spool = is_spool_name(name) ? config::place(settings_, name, home).spool : config::PlacedFile{};
      if (!spool.name.empty() && ::lstat(base::path_in(spool.folder, spool.name).c_str(), &status) == 0) add_file({spool.folder, spool.name}, name);
    }
  }

  const Command& command_;
  const config::Settings& settings_;
  bool root_;
  std::string spool_dir_;
  std::vector<Target> out_;
};

}  // namespace

Result<config::Settings> read_settings(const Command& command) {
  config::Settings settings;
  if (!command.config_given && ::access(command.config.c_str(), F_OK) != 0) return settings;
  const auto problems = config::read_file(command.config, settings);
  for (const auto& problem : problems) {
    if (!problem.warning) return Error{ErrorKind::malformed, problem.text};
  }
  // popper does not start with it; a repair would go without locks.
  if (const auto unknown = spool::unknown_lock_kind(settings.text(Opt::mail_locks)); !unknown.empty())
    return Error{ErrorKind::malformed, fmt::format("mail-locks: \"{}\": want dotlock, fcntl, flock, lease or none", base::escape_untrusted(unknown, 40))};
  return settings;
}

Target find_spool_of_ledger(const Command& command, const config::Settings& settings, const std::string& path) { return Finder{command, settings}.run_for(path); }

Result<std::vector<Target>> find_targets(const Command& command, const config::Settings& settings) { return Finder{command, settings}.run(); }

}  // namespace qpop::popcheck
