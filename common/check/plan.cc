// SPDX-License-Identifier: MIT
// Rounds of reading and changing. One change can show what it hid: behind a foreign beginning the server's scan says
// nothing of the rest.
#include "common/check/plan.h"

#include <algorithm>
#include <set>
#include <utility>

namespace qpop::check {

namespace {

class Planner {
 public:
  explicit Planner(const PlanOptions& options) : options_(options) {}

  /// The changes of a report that are to be made.
  base::Result<std::vector<Edit>> choose(const Report& report, const Patch& patch, Bytes& now) {
    std::vector<Edit> out;
    for (const auto& edit : report.edits) {
      if (!edit.doubtful) {
        out.push_back(edit);
        continue;
      }
      if (!options_.decide) {
        if (options_.aggressive) out.push_back(edit);
        continue;
      }
      // Asked once; a later round must not ask again.
      const auto place = std::pair{patch.original_of(edit.offset), edit.id};
      const auto* finding = finding_of(report, edit);
      if (finding == nullptr || refused_.contains(place)) continue;
      auto wanted = options_.decide(*finding, edit, now);
      if (!wanted) return wanted.error();
      if (*wanted) {
        out.push_back(edit);
      } else {
        refused_.insert(place);
      }
    }
    return out;
  }

 private:
  static const Finding* finding_of(const Report& report, const Edit& edit) {
    const auto found = std::ranges::find_if(report.findings, [&](const Finding& one) { return one.id == edit.id && one.offset == edit.offset; });
    return found == report.findings.end() ? nullptr : &*found;
  }

  const PlanOptions& options_;
  std::set<std::pair<std::uint64_t, Id>> refused_;
};

}  // namespace

base::Result<Plan> plan_repair(Bytes& bytes, const PlanOptions& options) {
  Planner planner{options};
  Plan plan;
  plan.patch = Patch{bytes.size()};
  for (int round = 0;; ++round) {
    PatchedBytes now{bytes, plan.patch};
    auto report = read_spool(now, options.read);
    if (!report) return report.error();
    if (round == 0) plan.before = *report;
    auto chosen = planner.choose(*report, plan.patch, now);
    if (!chosen) return chosen.error();
    plan.after = std::move(*report);
    if (chosen->empty()) return plan;
    if (round == options.most_rounds) break;
    if (plan.patch.apply(*chosen) == 0) break;
  }
  plan.settled = false;
  return plan;
}

}  // namespace qpop::check
