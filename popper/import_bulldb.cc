// SPDX-License-Identifier: MIT
// Whose numbers are taken over.
// Runs as: root, or the user who started it.
#include "popper/import_bulldb.h"

#include <unistd.h>

#include <optional>
#include <set>

#include "common/log/log.h"
#include "popper/authenticator/database_check.h"
#include "popper/monitor/startup.h"
#include "popper/takeover/bulletin_database.h"
#include "popper/takeover/takeover.h"

namespace qpop {

using config::Opt;

int import_bulldb(const config::Settings& settings, const monitor::Environment& environment, const std::string& path) {
  // Where all mail has one owner, accounts exist in the database alone; a folder for each name of a foreign file is not made.
  std::set<std::string, std::less<>> names;
  if (environment.mail_user) {
    auto listed = authenticator::list_names({settings.text(Opt::auth_db), -1, environment.auth_user.uid, environment.auth_user.gid});
    if (!listed) {
      log::fatal("{}", listed.error().at(monitor::named(settings, Opt::auth_db)).message());
      return takeover::kFailed;
    }
    names = std::move(*listed);
  }
  if (settings.text(Opt::bulldir).empty()) log::warning("bulldir is not set: the numbers are kept, but no bulletins are delivered until it is");
  monitor::Monitor monitor{settings, environment, {}, [] { return std::nullopt; }};
  takeover::BulletinTask task;
  task.path = path;
  task.uid = environment.session_user.uid;
  task.gid = environment.session_user.gid;
  task.find = [&](const std::string& name) -> base::Result<maildrop::Job> {
    if (environment.mail_user && !names.contains(name)) return base::Error{base::ErrorKind::denied, "not in the database of accounts"};
    const auto owner = monitor.find_owner(name);
    if (!owner) return owner.error();
    maildrop::Job job;
    job.name = owner->name;
    job.uid = owner->uid;
    job.gid = owner->gid;
    job.home = owner->home;
    job.state_folder = owner->state_folder;
    job.settings = &settings;
    job.administrator = ::geteuid();
    return job;
  };
  return takeover::import_bulletin_numbers(task);
}

}  // namespace qpop
