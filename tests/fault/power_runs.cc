// SPDX-License-Identifier: MIT
// Simulated power losses.
#include "tests/fault/power_runs.h"

#include <memory>

namespace qpop::test {

namespace {

constexpr int kDisksPerStory = 16;

std::string describe(const Fault& fault) {
  switch (fault.kind) {
    case Fault::Kind::fail_once:
      return "errno " + std::to_string(fault.errno_value) + " at " + std::string{fault.only} + ' ' +
             std::to_string(fault.at);
    case Fault::Kind::fail_from:
      return "errno " + std::to_string(fault.errno_value) + " at every " + std::string{fault.only};
    case Fault::Kind::die:
      return "death at call " + std::to_string(fault.at);
    case Fault::Kind::die_in_write:
      return "death in write " + std::to_string(fault.at);
    case Fault::Kind::none:
    case Fault::Kind::fail_alternate:
    case Fault::Kind::short_write:
    case Fault::Kind::short_transfers:
      break;
  }
  return "no fault";
}

bool is_full(const Fault& fault) {
  return fault.errno_value == ENOSPC;
}

/// The spool by its messages, and the names beside it.
std::string contents(const MaildropFixture& drop) {
  std::string out = "\n  the spool:";
  const auto spool = drop.spool();
  for (const auto& unit : split(spool, spool.starts_with(kSeparator))) {
    const auto at = unit.find("Message-Id: <");
    out += ' ' + (at == std::string::npos ? "?" : unit.substr(at + 13, unit.find('@', at) - at - 13)) + '(' +
           std::to_string(unit.size()) + ')';
  }
  for (const auto& name : drop.state_names())
    out += ' ' + name + '(' + std::to_string(std::filesystem::file_size(drop.state_path(name))) + ')';
  return out + "\n  ";
}

}  // namespace

std::string PowerCounts::text() const {
  return "states=" + std::to_string(states) + " lost=" + std::to_string(lost) + " torn=" + std::to_string(torn) +
         " duplicated=" + std::to_string(duplicated);
}

Fault PowerRuns::pick_fault() {
  switch (random_() % 12) {
    case 0:
      return {.kind = Fault::Kind::die, .at = random_() % 90};
    case 1:
      return {.kind = Fault::Kind::die_in_write, .at = random_() % 12};
    case 2:  // any kind of sync
      return {.kind = Fault::Kind::fail_once, .at = random_() % 7, .errno_value = EIO, .only = "sync"};
    case 3:  // no room for a journal
      return {.kind = Fault::Kind::fail_from, .at = 0, .errno_value = ENOSPC, .only = "allocate"};
    case 4:
      return {.kind = Fault::Kind::fail_once, .at = random_() % 90, .errno_value = EIO};
    default:
      return {};
  }
}

std::string PowerRuns::next_message(const Scenario& s) {
  return more_mail(s, 1000 + ++messages_, random_() % 500);
}

/// Somebody without locks delivers before a call chosen at random; not between the last look at the size and the cut,
/// or the first octet of salvaged mail, where only a lease helps.
void PowerRuns::hang_delivery_in(RecordingProcess& process, const MaildropFixture& drop, const Scenario& s,
                                 std::vector<Mail>& mail) {
  if (s.open_end || random_() % 4 != 0) return;
  const std::size_t at = random_() % 70;
  process.fs.intruder = [this, &process, &drop, &s, &mail, at, past = false](FaultFileSystem& fs,
                                                                             std::string_view call) mutable {
    const bool too_late = call == "truncate" || (call == "write" && !fs.log().empty() && fs.log().back() == "status");
    if (past || fs.calls() < at || too_late) return;
    past = true;
    fs.intruder = nullptr;
    const base::UniqueFd probe{::open(drop.spool_path().c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)};
    if (!probe.valid()) return;  // no spool, or a lease on it
    mail.push_back({.step = process.fs.steps(), .unit = next_message(s)});
    process.fs.deliver(drop, mail.back().unit);
  };
}

std::string PowerRuns::run(std::uint64_t seed, bool in_detail) {
  in_detail_ = in_detail;
  random_.seed(static_cast<std::mt19937::result_type>(seed));
  messages_ = 0;
  fault_.clear();
  const auto& all = scenarios();
  const auto* chosen = &all[random_() % all.size()];
  while (chosen->large && random_() % 16 != 0) chosen = &all[random_() % all.size()];
  const Scenario& s = *chosen;
  first_.clear();
  Session session{first_, s};
  Fault fault = pick_fault();
  RecordingProcess process{first_, fault};
  process.fs.start(first_);
  std::vector<Mail> mail;
  hang_delivery_in(process, first_, s, mail);
  auto request = session.request();
  std::optional<std::size_t> committed;
  request.committed = [&](std::uint64_t) { committed = process.fs.steps(); };
  const auto updated = process.update(request);
  session.end();
  std::string text = s.name + ", " + describe(fault) + ", " + (updated ? "success" : updated.error().message());
  if (!updated && random_() % 3 != 0) {
    // Another process finds what the first one left in the page cache, before the power goes.
    process.fs.revive();
    process.fs.intruder = nullptr;
    process.be_later();
    if (!s.open_end && random_() % 3 == 0) {
      mail.push_back({.step = process.fs.steps(), .unit = next_message(s)});
      process.fs.deliver(first_, mail.back().unit);
    }
    const auto recovered = process.recover();
    text += std::string{", recovery "} + (recovered ? "works" : recovered.error().message());
  }
  for (int i = 0; i < kDisksPerStory && fault_.empty(); ++i) {
    const std::size_t steps = process.fs.steps();
    const std::size_t done = random_() % 8 == 0 ? steps : random_() % (steps + 1);
    Course course{.scenario = s, .text = text + ", power lost behind step " + std::to_string(done)};
    for (const auto& [step, unit] : mail) {
      if (step < done) course.delivered.push_back(unit);
    }
    course.may_be_old = !committed || done < *committed;
    course.no_room = is_full(fault);
    follow(std::move(course), process.fs.story().after_power_loss(done, random_), static_cast<int>(random_() % 3));
  }
  // When the folder could not be synced, the removed journal may come back; then the disk is beyond our help.
  const bool sound = fault.kind != Fault::Kind::fail_once;
  if (fault_.empty() && updated && sound && !s.open_end && random_() % 3 == 0) run_next_session(process, s, mail, text);
  if (fault_.empty()) return {};
  return "seed " + std::to_string(seed) + ": " + fault_ + "\n the first process:" + process.fs.story().text();
}

/// The update after it must not trip over what the first one left, should that come back.
void PowerRuns::run_next_session(RecordingProcess& process, const Scenario& s, const std::vector<Mail>& mail,
                                 std::string text) {
  const bool marked = first_.spool().starts_with(s.after);  // there may have been no room for marks
  Scenario next{.name = s.name + ", next session", .delivery = s.delivery};
  for (std::size_t i = 0; i < s.units.size(); ++i) {
    if (!s.is_deleted(i)) next.units.push_back(marked ? s.left(i) : s.units[i]);
  }
  for (const auto& one : mail) next.units.push_back(one.unit);
  if (next.units.empty()) return;
  process.fs.revive();
  process.fs.intruder = nullptr;
  process.be_later();
  auto opened = process.open();
  if (!opened || opened->count != next.units.size()) {
    fault_ = text + ": the next session does not see its mail";
    ++counts_.wrong;
    return;
  }
  const std::size_t last = next.units.size() - 1;
  next.deleted = {static_cast<unsigned>(random_() % 2 == 0 ? last : random_() % next.units.size())};
  for (std::size_t i = 0; i < next.units.size(); ++i) {
    next.spool += next.units[i];
    if (!next.is_deleted(i)) next.after += next.units[i];
  }
  next.before = next.spool;
  next.after_unmarked = next.after;
  const std::size_t opened_at = process.fs.steps();
  std::optional<std::size_t> committed;
  auto request = request_for(*opened, next.deleted);
  request.committed = [&](std::uint64_t) { committed = process.fs.steps(); };
  const auto updated = process.update(request);
  opened->session_lock.reset();
  const std::size_t steps = process.fs.steps();
  for (int i = 0; i < kDisksPerStory && fault_.empty(); ++i) {
    const std::size_t done = opened_at + random_() % (steps - opened_at + 1);
    Course course{.scenario = next,
                  .text = text + ", then " + std::to_string(next.deleted.front()) + " of the next session, " +
                          (updated ? "success" : updated.error().message()) + ", power lost behind step " +
                          std::to_string(done)};
    course.may_be_old = !committed || done < *committed;
    follow(std::move(course), process.fs.story().after_power_loss(done, random_), static_cast<int>(random_() % 2));
  }
}

void PowerRuns::deliver_now(Course& course) {
  const auto unit = next_message(course.scenario);
  MaildropFixture::append_file(later_.spool_path(), unit);
  if (course.rewritten) {
    add_delivery(course.rewrite, unit);
  } else {
    course.delivered.push_back(unit);
  }
  course.text += ", mail comes";
}

/// The disk after a power loss: perhaps mail, perhaps a mail reader, then recovery, in which power may be lost again.
void PowerRuns::follow(Course course, const Disk& disk, int depth) {
  const Scenario& s = course.scenario;
  restore(later_, disk);
  ++counts_.states;
  if (!s.open_end && random_() % 4 == 0) deliver_now(course);
  if (!course.rewritten && !s.open_end && random_() % 8 == 0) {
    // Moved in strides the mail is in no journal: that is for a full disk only, and promises less.
    if (!course.no_room) {
      course.rewrite = rewrite_spool(later_, s, course.delivered, random_);
      course.rewritten = true;
      course.text += ", somebody " + course.rewrite.what;
      if (random_() % 4 == 0) deliver_now(course);
    }
  }
  if (in_detail_) course.text += contents(later_);
  if (course.rewritten) ++counts_.rewritten;
  if (depth == 0) {
    judge(course);
    return;
  }
  const Fault fault = random_() % 4 == 0 ? pick_fault() : Fault{};
  course.no_room = course.no_room || is_full(fault);
  RecordingProcess process{later_, fault};
  process.be_later();
  process.fs.start(later_);
  std::vector<Mail> mail;
  hang_delivery_in(process, later_, s, mail);
  const auto recovered = process.recover();
  const std::size_t steps = process.fs.steps();
  const std::size_t done = random_() % 8 == 0 ? steps : random_() % (steps + 1);
  course.text += ", recovery (" + describe(fault) + ") " + (recovered ? "works" : recovered.error().message()) +
                 ", power lost behind step " + std::to_string(done) + " of " + std::to_string(steps);
  if (in_detail_) course.text += process.fs.story().text() + contents(later_);
  for (const auto& [step, unit] : mail) {
    if (step >= done) continue;
    if (course.rewritten) {
      add_delivery(course.rewrite, unit);
    } else {
      course.delivered.push_back(unit);
    }
  }
  if (recovered && done == steps && !course.rewritten &&
      (recovered->outcome == spool::Recovery::redone || recovered->outcome == spool::Recovery::finished)) {
    course.may_be_old = false;
  }
  const auto next = process.fs.story().after_power_loss(done, random_);
  follow(std::move(course), next, depth - 1);
}

void PowerRuns::judge(const Course& course) {
  if (course.rewritten) {
    const auto verdict = judge_rewritten(later_, course.scenario, course.rewrite);
    if (verdict.text.empty()) return;
    if (in_detail_) fault_ = contents(later_);
    (verdict.lost ? counts_.lost : verdict.torn ? counts_.torn : counts_.wrong) += 1;
    fault_ = course.text + ": " + verdict.text + fault_;
    return;
  }
  SpoolVerdict verdict;
  const auto wrong = judge_next_session(later_,
                                        {.scenario = course.scenario,
                                         .delivered = course.delivered,
                                         .may_be_old = course.may_be_old,
                                         .may_be_new = course.may_be_new,
                                         .no_room = course.no_room},
                                        &verdict);
  if (wrong.empty()) return;
  switch (verdict.damage) {
    case Damage::lost:
      ++counts_.lost;
      break;
    case Damage::torn:
      ++counts_.torn;
      break;
    case Damage::duplicated:
      ++counts_.duplicated;
      break;
    case Damage::none:
      ++counts_.wrong;
      break;
  }
  fault_ = course.text + ": " + wrong;
}

}  // namespace qpop::test
