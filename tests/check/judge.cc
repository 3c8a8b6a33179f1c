// SPDX-License-Identifier: MIT
// The properties of a repair.
#include "tests/check/judge.h"

#include <fmt/format.h>

#include "tests/check/corpus.h"

namespace qpop::test {

namespace {

/// What the changes make of `before`, by other code than the patch; `removed` gets what they take away.
std::string make(const std::string& before, const std::vector<check::Edit>& edits, std::string& removed) {
  std::string out;
  std::size_t at = 0;
  for (const auto& edit : edits) {
    out += before.substr(at, edit.offset - at) + edit.inserted;
    removed += before.substr(edit.offset, edit.removed);
    at = edit.offset + edit.removed;
  }
  return out + before.substr(at);
}

/// Takes the changes back.
std::string unmake(const std::string& after, const std::vector<check::Edit>& edits, const std::string& removed) {
  std::string out;
  std::size_t at = 0;
  std::size_t held = 0;
  std::int64_t shift = 0;
  for (const auto& edit : edits) {
    const auto place = static_cast<std::size_t>(static_cast<std::int64_t>(edit.offset) + shift);
    out += after.substr(at, place - at) + removed.substr(held, edit.removed);
    held += edit.removed;
    at = place + edit.inserted.size();
    shift += static_cast<std::int64_t>(edit.inserted.size()) - static_cast<std::int64_t>(edit.removed);
  }
  return out + after.substr(at);
}

}  // namespace

std::string text_of(const check::Report& report) {
  std::string out;
  for (const auto& finding : report.findings)
    out += fmt::format("[{} at {} line {} message {}: {} {}]", check::row_of(finding.id).name, finding.offset, finding.line, finding.message, finding.detail, finding.excerpt);
  return out;
}

Repaired repair_in_memory(const std::string& damaged, bool aggressive) {
  Repaired out;
  check::MemoryBytes source{damaged};
  check::PlanOptions options;
  options.aggressive = aggressive;
  auto plan = check::plan_repair(source, options);
  if (!plan) {
    out.wrong = plan.error().message();
    return out;
  }
  const auto edits = plan->patch.edits();
  std::string removed;
  out.bytes = make(damaged, edits, removed);
  out.changes = text_of(plan->before);
  for (const auto& edit : edits) out.changes += fmt::format("<{} -{} +{}>", edit.offset, edit.removed, edit.inserted.size());
  std::string read(plan->patch.size(), '\0');
  check::PatchedBytes patched{source, plan->patch};
  auto got = patched.read(0, read);
  if (!plan->settled) out.wrong = "not settled: " + text_of(plan->after);
  if (!got || *got != read.size() || read != out.bytes) out.wrong = "the patch and its changes differ";
  if (unmake(out.bytes, edits, removed) != damaged) out.wrong = "undo does not give back what was there";
  std::uint64_t inserted = 0;
  for (const auto& edit : edits) inserted += edit.inserted.size();
  if (damaged.size() != out.bytes.size() + removed.size() - inserted) out.wrong = "the sum of octets does not fit";
  if (plan->after.refused) out.wrong = "refused after the repair: " + *plan->after.refused + text_of(plan->after);
  check::MemoryBytes again{out.bytes};
  auto second = check::plan_repair(again, options);
  if (!second || !second->patch.empty()) out.wrong = "a second repair has something to do: " + text_of(second->before);
  std::uint64_t painted = 0;
  for (const auto octets : plan->before.octets) painted += octets;
  if (painted != damaged.size()) out.wrong = fmt::format("{} octets are classified of {}", painted, damaged.size());
  if (!out.wrong.empty()) out.wrong += " " + out.changes;
  return out;
}

std::string judge_random(std::uint64_t seed) {
  std::mt19937 random{static_cast<std::mt19937::result_type>(seed)};
  const auto kind = kKinds[random() % std::size(kKinds)];
  const auto spool = make_spool(kind, random, 1 + random() % 8);
  const auto damaged = damage_at_random(spool.bytes(), random);
  return repair_in_memory(damaged, random() % 4 == 0).wrong;
}

}  // namespace qpop::test
