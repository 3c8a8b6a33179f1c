// SPDX-License-Identifier: MIT
// Options of one user.
// Runs as: the owner of the mail.
#include "popper/maildrop/user_rules.h"

#include <algorithm>

#include "common/base/text.h"
#include "common/config/announced.h"
#include "common/config/reader.h"
#include "common/log/log.h"

namespace qpop::maildrop {

namespace {

using config::Opt;

void read_file(const Job& job, const char* kind, const std::string& path, config::Scope administrator_may, config::Settings& settings) {
  for (const auto& problem : config::read_option_file({path, job.uid, job.administrator, administrator_may}, settings)) {
    log::warning("{} options file for {}: {}", kind, job.name, problem.text);
  }
}

}  // namespace

UserRules read_user_rules(const Job& job) {
  UserRules rules;
  rules.settings = *job.settings;
  const auto before = config::place(rules.settings, job.name, job.home);
  // Both names are worked out first: what the first file sets must not move the second.
  const auto own = job.home + "/.qpopper-options";
  const auto in_spool = rules.settings.text(Opt::spool_dir) + "/." + job.name + ".qpopper-options";
  const bool wants_own = rules.settings.boolean(Opt::user_options) && !job.home.empty();
  const bool wants_in_spool = rules.settings.boolean(Opt::spool_options);
  if (wants_own) read_file(job, "user", own, config::Scope::N, rules.settings);
  if (wants_in_spool) read_file(job, "spool", in_spool, config::Scope::U, rules.settings);
  rules.placement = config::place(rules.settings, job.name, job.home);
  // In a home he makes his lock file himself, whoever said that his mail lies there.
  rules.placed_by_user = rules.placement.spool != before.spool || (!job.home.empty() && rules.placement.root == job.home);
  return rules;
}

spool::MaildropSettings maildrop_settings(const config::Settings& settings) {
  // An update waits longer than an open: the client has asked for it, and mail that stays is mail that is fetched twice.
  constexpr std::int64_t kUpdatePatience = 4;
  const auto timeout_ms = settings.number(Opt::mail_lock_timeout) * 1000;
  spool::MaildropSettings out;
  out.locks = spool::lock_kinds(settings.text(Opt::mail_locks));
  out.open_timeout_ms = static_cast<std::uint32_t>(timeout_ms);
  out.update_timeout_ms = static_cast<std::uint32_t>(kUpdatePatience * timeout_ms);
  out.expire_days = settings.number(Opt::expire_after);
  out.login_delay_s = static_cast<std::uint32_t>(settings.number(Opt::announce_login_delay));
  out.hide_internal = settings.boolean(Opt::uw_kludge);
  out.expunge.deferred = settings.text(Opt::expunge) == "deferred";
  out.expunge.share_percent = static_cast<std::uint32_t>(settings.number(Opt::expunge_share));
  out.expunge.after_s = settings.number(Opt::expunge_after);
  return out;
}

mbox::UniqueIdForm unique_id_form(const config::Settings& settings) {
  if (settings.boolean(Opt::old_style_uid)) return mbox::UniqueIdForm::hex;
  const auto& form = settings.text(Opt::unique_id_form);
  return form == "md5-base80" ? mbox::UniqueIdForm::base80 : form == "md5-hex" ? mbox::UniqueIdForm::hex : mbox::UniqueIdForm::own;
}

files::LockCreation lock_creation(const config::Settings& settings) {
  return settings.boolean(Opt::no_atomic_open) ? files::LockCreation::link : files::LockCreation::exclusive_open;
}

ipc::MaildropOpened session_rules(const config::Settings& settings) {
  ipc::MaildropOpened out;
  out.idle_seconds = static_cast<std::uint32_t>(settings.number(Opt::timeout));
  out.login_delay_s = static_cast<std::uint32_t>(settings.number(Opt::announce_login_delay));
  out.expire_days = config::announced_expiry(settings);
  out.update_on_abort = settings.boolean(Opt::update_on_abort) ? 1 : 0;
  out.auto_delete = settings.boolean(Opt::auto_delete) && out.update_on_abort == 0 ? 1 : 0;
  out.honour_status = settings.boolean(Opt::update_status_headers) ? 1 : 0;
  out.may_send = settings.text(Opt::mail_command).empty() ? 0 : 1;
  out.debug = settings.boolean(Opt::debug) ? 1 : 0;
  return out;
}

ipc::UserSettings monitor_rules(const config::Settings& settings) {
  ipc::UserSettings out;
  out.statistics = settings.boolean(Opt::statistics) ? 1 : 0;
  out.timing = settings.boolean(Opt::timing) ? 1 : 0;
  out.mail_command.set(settings.text(Opt::mail_command));
  return out;
}

}  // namespace qpop::maildrop
