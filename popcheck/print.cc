// SPDX-License-Identifier: MIT
// Text for people, JSON for programs.
#include "popcheck/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/text.h"

namespace qpop::popcheck {

namespace {

using base::json_string;
using check::Finding;
using check::Report;
using check::Severity;

std::string counted(std::uint64_t count, std::string_view word) { return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s"); }

std::string summary_of(const Report& report) {
  std::array<std::uint64_t, 3> by_severity{};
  for (const auto& finding : report.findings) ++by_severity.at(static_cast<std::size_t>(check::row_of(finding.id).severity));
  std::string text;
  for (const auto severity : {Severity::error, Severity::warning, Severity::note}) {
    const auto count = by_severity.at(static_cast<std::size_t>(severity));
    if (count > 0) text += (text.empty() ? "" : ", ") + counted(count, check::name_of(severity));
  }
  return text.empty() ? "clean" : text;
}

std::string shape_of(const Report& report) {
  return fmt::format("{}, {}, {}", check::name_of(report.dialect), counted(report.messages, "message"), counted(report.size, "octet"));
}

std::string place_of(const Finding& finding) {
  std::string text;
  if (finding.line > 0 || finding.offset > 0) text = fmt::format("octet {}", finding.offset);
  if (finding.line > 0) text += fmt::format(", line {}", finding.line);
  if (finding.message > 0) text += fmt::format("{}message {}", text.empty() ? "" : ", ", finding.message);
  return text.empty() ? "" : " at " + text;
}

void add_finding(std::string& out, const Finding& finding) {
  const auto& row = check::row_of(finding.id);
  out += fmt::format("  {:<7} {}{}: {}{}\n", check::name_of(row.severity), row.name, place_of(finding), row.title, finding.detail.empty() ? "" : " (" + finding.detail + ")");
  if (!finding.excerpt.empty()) out += fmt::format("          | {}\n", finding.excerpt);
  if (row.severity == Severity::note) return;
  out += fmt::format("          {}\n", row.reason);
  out += fmt::format("          repair: {}\n", row.repair);
}

/// What to type next.
std::string way_out(const Target& target, const Outcome& outcome) {
  const auto any = [&](bool doubtful) {
    return std::ranges::any_of(outcome.report.findings, [&](const Finding& one) { return one.repairable && one.doubtful == doubtful; });
  };
  if (any(false)) return fmt::format("  to repair: popcheck --repair {}\n", target.argument);
  return any(true) ? fmt::format("  to be asked: popcheck --repair --ask {}\n", target.argument) : std::string{};
}

/// A member; one that is no text has its octets beside it.
std::string json_path(std::string_view name, const std::string& path) {
  auto out = fmt::format(R"("{}": {})", name, json_string(path));
  if (!base::is_utf8(path)) out += fmt::format(R"(, "{}_hex": "{}")", name, base::to_hex(path));
  return out;
}

std::string counts_json(const Report& report) {
  std::string text;
  for (std::size_t i = 0; i < check::kRegions; ++i) {
    text += fmt::format("{}{}: {}", i > 0 ? ", " : "", json_string(check::name_of(static_cast<check::Region>(i))), report.octets.at(i));
  }
  return "{" + text + "}";
}

std::string finding_json(const Finding& finding) {
  const auto& row = check::row_of(finding.id);
  return fmt::format(
      R"({{"id": "{}", "severity": "{}", "title": {}, "offset": {}, "length": {}, "line": {}, "message": {}, "excerpt": {}, "detail": {}, "reason": {}, "repair": {}, "repairable": {}, "doubtful": {}}})",
      row.name, check::name_of(row.severity), json_string(row.title), finding.offset, finding.length, finding.line, finding.message,
      json_string(finding.excerpt), json_string(finding.detail), json_string(row.reason), json_string(row.repair), finding.repairable, finding.doubtful);
}

std::string findings_json(const Report& report) {
  std::string text;
  for (const auto& finding : report.findings) text += (text.empty() ? "" : ",\n   ") + finding_json(finding);
  return "[" + text + "]";
}

std::string cells_json(const Report& report) {
  std::string text;
  for (const auto& cell : report.cells) {
    std::string one;
    for (const auto octets : cell) one += (one.empty() ? "" : ",") + std::to_string(octets);
    text += (text.empty() ? "" : ",") + ("[" + one + "]");
  }
  return "[" + text + "]";
}

}  // namespace

std::string shown(const std::string& path) { return base::is_printable_utf8(path) ? path : base::escape_untrusted(path, 400); }

std::string text_of(const Target& target, const Outcome& outcome, bool quiet) {
  if (quiet && outcome.code == kClean) return {};
  std::string warnings;
  for (const auto& warning : outcome.warnings) warnings += fmt::format("  warning: {}\n", warning);
  std::string out;
  if (!outcome.has_report) {
    if (!outcome.message.empty() || !warnings.empty()) out = fmt::format("{}: {}\n", target.label, outcome.message);
    return out + warnings;
  }
  out += fmt::format("{}: {} ({})\n", target.label, summary_of(outcome.report), shape_of(outcome.report));
  for (const auto& finding : outcome.report.findings) add_finding(out, finding);
  if (outcome.report.findings_left_out > 0) out += fmt::format("  and {}\n", counted(outcome.report.findings_left_out, "further finding"));
  if (outcome.report.refused) out += fmt::format("  popper refuses this spool: {}\n", *outcome.report.refused);
  out += outcome.diff;
  out += warnings;
  if (!outcome.message.empty()) out += fmt::format("  {}\n", outcome.message);
  if (outcome.result == "findings" && !target.argument.empty()) out += way_out(target, outcome);
  return out;
}

std::string json_of(const Target& target, const Outcome& outcome, bool cells) {
  std::string out = fmt::format(R"({{{}, "result": "{}", "message": {})", json_path("spool", target.folder.empty() ? target.label : target.path()), outcome.result,
                                json_string(outcome.message));
  if (outcome.has_report) {
    const auto& report = outcome.report;
    out += fmt::format(R"(, "format": "{}", "size": {}, "messages": {}, "served": {}, "lines": {}, "refused": {})", check::name_of(report.dialect), report.size,
                       report.messages, report.served, report.lines.lf, report.refused ? json_string(*report.refused) : "null");
    out += fmt::format(",\n  \"octets\": {},\n  \"findings\": {}, \"findings_left_out\": {}", counts_json(report), findings_json(report), report.findings_left_out);
    if (cells) out += ",\n  \"cells\": " + cells_json(report);
  }
  if (outcome.after) out += fmt::format(R"(, "size_after": {}, "messages_after": {}, "changes": {})", outcome.after->size, outcome.after->messages, outcome.edits.size());
  if (!outcome.ledger.empty()) out += ", " + json_path("ledger", outcome.ledger);
  std::string warnings;
  for (const auto& warning : outcome.warnings) warnings += (warnings.empty() ? "" : ", ") + json_string(warning);
  return out + fmt::format(R"(, "warnings": [{}]}})", warnings);
}

std::string explain(std::string_view name) {
  std::string out;
  for (const auto& row : check::kTable) {
    if (name != "all" && row.name != name) continue;
    out += fmt::format("{}{} ({})\n  {}\n  {}\n  repair: {}\n", out.empty() ? "" : "\n", row.name, check::name_of(row.severity), row.title, row.reason, row.repair);
  }
  return out;
}

}  // namespace qpop::popcheck
