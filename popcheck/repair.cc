// SPDX-License-Identifier: MIT
// A repair: session lock, recovery, mail locks, plan, ledger, rewrite.
//
//  1. The session lock keeps popper's sessions out, which read the spool by offsets; recovery completes what was interrupted.
//  2. Under the mail locks the spool is read and the changes are planned in memory.
//  3. Ledger and quarantine are written and synced. A crash leaves a ledger of a repair that was not made: --verify says so.
//  4. The changes are made under a journal (common/spool/rewrite.h). A crash behind its commit point is completed by the next
//     open of popper, or the next popcheck.
// Runs as: the owner of the mail.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "common/base/text.h"
#include "common/spool/rewrite.h"
#include "common/spool/spool_bytes.h"
#include "common/spool/spool_file.h"
#include "popcheck/ask.h"
#include "popcheck/ledger.h"
#include "popcheck/locked.h"
#include "popcheck/surroundings.h"
#include "popcheck/work.h"

namespace qpop::popcheck {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;

/// Removed lines with "-", new ones with "+".
std::string diff_of(check::Bytes& before, const std::vector<check::Edit>& edits) {
  constexpr std::size_t kShown = 400;
  const auto lines = [](std::string_view text, char sign) {
    std::string out;
    while (!text.empty()) {
      const auto line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
      out += fmt::format("  {}{}\n", sign, base::escape_untrusted(line, 200));
    }
    return out;
  };
  std::string out;
  for (const auto& edit : edits) {
    out += fmt::format("  @@ octet {}: -{} +{} octets, {} @@\n", edit.offset, edit.removed, edit.inserted.size(),
                       edit.id == check::Id::count ? "removed" : check::row_of(edit.id).name);
    std::string removed(static_cast<std::size_t>(std::min<std::uint64_t>(edit.removed, kShown)), '\0');
    auto got = before.read(edit.offset, removed);
    removed.resize(got ? *got : 0);
    out += lines(removed, '-');
    if (edit.removed > kShown) out += "  -...\n";
    out += lines(edit.inserted, '+');
  }
  return out;
}

/// The last start of a message, in the spool as it will be, that lies before every change.
std::uint64_t first_of(const check::Plan& plan, std::uint64_t first_change) {
  const auto& units = plan.after.units;
  const auto behind = std::ranges::upper_bound(units, first_change);
  return behind == units.begin() ? 0 : *(behind - 1);
}

/// Findings above a note, each name once.
std::string names_of_warnings(const check::Report& report) {
  std::set<std::string_view> names;
  for (const auto& finding : report.findings) {
    if (const auto& row = check::row_of(finding.id); row.severity != check::Severity::note) names.insert(row.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

Result<std::uint64_t> apply(Place& place, Locked& locked, const check::Plan& plan, Outcome& outcome) {
  spool::RewritePlan rewrite{.old_size = locked.size, .format = plan.after.format};
  for (auto& edit : plan.patch.edits()) rewrite.changes.push_back({.offset = edit.offset, .removed = edit.removed, .inserted = edit.inserted});
  rewrite.first = first_of(plan, rewrite.changes.front().offset);
  locked.mail.take_lease();
  return spool::rewrite_spool(place.context(), place.paths(), locked.mail, rewrite, outcome.warnings);
}

/// Before a change that did not happen: its ledger must not look like one that did.
void forget_ledger(Place& place, const std::string& name) {
  if (files::exists(place.fs, place.state.get(), spool::kJournalName).value_or(true)) return;
  for (const auto ending : {kLedgerEnding, kQuarantineEnding})
    static_cast<void>(files::remove_if_present(place.fs, place.state.get(), name + std::string{ending}));
}

check::PlanOptions plan_options(Place& place) {
  check::PlanOptions options;
  options.read = {.now_s = place.now_s(), .list_units = true};
  options.aggressive = place.command.aggressive;
  return options;
}

/// The answers to --ask are taken before the locks are: nobody's mail waits for a person.
base::Status ask_first(Place& place, check::PlanOptions& options, Answers& answers) {
  auto fd = spool::open_spool(place.fs, place.paths(), O_RDONLY);
  if (!fd) return fd.error();
  auto size = spool::size_of(place.fs, fd->get());
  if (!size) return size.error();
  spool::SpoolBytes bytes{place.fs, fd->get(), *size};
  options.decide = [&](const check::Finding& finding, const check::Edit& edit, check::Bytes& now) { return answers.ask(place.target.label, finding, edit, now); };
  auto plan = check::plan_repair(bytes, options);
  if (!plan) return plan.error();
  options.decide = [&](const check::Finding& finding, const check::Edit& edit, check::Bytes& now) { return answers.recall(finding, edit, now); };
  return {};
}

Outcome dry_run(Place& place, check::PlanOptions options, Answers& answers) {
  auto fd = spool::open_spool(place.fs, place.paths(), O_RDONLY);
  if (!fd) return failed(fd.error().at("open", place.target.label));
  auto size = spool::size_of(place.fs, fd->get());
  if (!size) return failed(size.error());
  spool::SpoolBytes bytes{place.fs, fd->get(), *size};
  if (place.command.ask) {
    if (auto asked = ask_first(place, options, answers); !asked) return failed(asked.error());
  }
  auto plan = check::plan_repair(bytes, options);
  if (!plan) return failed(plan.error().at("plan the repair", place.target.label));
  Outcome outcome;
  tell_plan(outcome, *plan);
  outcome.diff = diff_of(bytes, outcome.edits);
  outcome.code = outcome.report.clean() ? kClean : kFindings;
  outcome.result = outcome.edits.empty() ? (outcome.report.clean() ? "clean" : "findings") : "would-repair";
  outcome.message = outcome.edits.empty() ? "nothing would be changed" : fmt::format("would change {} places; {} octets become {}", outcome.edits.size(), *size, plan->patch.size());
  return outcome;
}

}  // namespace

void tell_plan(Outcome& outcome, check::Plan& plan) {
  outcome.report = std::move(plan.before);
  outcome.has_report = true;
  outcome.after = Outcome::After{.size = plan.after.size, .messages = plan.after.messages};
  outcome.edits = plan.patch.edits();
  if (!plan.settled) outcome.warnings.emplace_back("after many rounds there was still something to change; look at the spool again when it is repaired");
}

Outcome repair_spool(Place& place) {
  if (is_mostly_holes(place)) {
    auto outcome = check_spool(place);
    outcome.message = "nothing was changed";
    return outcome;
  }
  Answers answers;
  auto options = plan_options(place);
  if (place.command.verb == Verb::dry_run) return dry_run(place, options, answers);
  if (auto there = files::exists(place.fs, place.folder.get(), place.target.name); there && !*there) return check_spool(place);
  if (place.command.ask) {
    if (auto asked = ask_first(place, options, answers); !asked) return failed(asked.error().at("open", place.target.label));
  }
  Outcome outcome;
  auto locked = lock_all(place, outcome);
  if (!locked) return failed(locked.error(), std::move(outcome.warnings));
  spool::SpoolBytes bytes{place.fs, locked->mail.fd(), locked->size};
  auto plan = check::plan_repair(bytes, options);
  if (!plan) return failed(plan.error().at("plan the repair", place.target.label), std::move(outcome.warnings));
  tell_plan(outcome, *plan);
  const auto around = look_around(place.fs, place.target, place.folder.get(), place.state.get(), place.clock.realtime_ns());
  for (const auto& finding : around) {
    // Our own lock is not old, and the index is stale as soon as we write.
    if (finding.id != check::Id::stale_index) outcome.report.findings.push_back(finding);
    outcome.report.worst = std::max(outcome.report.worst, check::row_of(finding.id).severity);
  }
  if (outcome.edits.empty()) {
    outcome.code = outcome.report.clean() ? kClean : kFindings;
    outcome.result = outcome.report.clean() ? "clean" : "findings";
    const bool doubtful = std::ranges::any_of(outcome.report.findings, &check::Finding::doubtful);
    if (!outcome.report.clean()) outcome.message = doubtful ? "nothing here can be repaired without asking" : "no repair mends this";
    return outcome;
  }
  auto ledger = write_ledger(place.fs, place.state.get(), place.target.path(), bytes, *plan, place.clock.realtime_ns());
  if (!ledger) return failed(ledger.error(), std::move(outcome.warnings));
  auto size = apply(place, *locked, *plan, outcome);
  if (!size) {
    forget_ledger(place, *ledger);
    return failed(size.error().at("repair", place.target.label), std::move(outcome.warnings));
  }
  outcome.ledger = place.target.state + "/" + *ledger + std::string{kLedgerEnding};
  outcome.code = kRepaired;
  outcome.result = "repaired";
  outcome.message = fmt::format("repaired: {} places changed, {} octets became {}, {} messages are served; ledger {}", outcome.edits.size(), locked->size,
                                plan->patch.size(), plan->after.served, shown(outcome.ledger));
  if (const auto left = names_of_warnings(plan->after); !left.empty()) outcome.message += fmt::format("; no change for {}", left);
  return outcome;
}

}  // namespace qpop::popcheck
