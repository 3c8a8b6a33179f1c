// SPDX-License-Identifier: MIT
// The two forms of a report.
#include "popcert/report.h"

#include <fmt/format.h>

#include "common/base/text.h"

namespace qpop::popcert {

namespace {

using base::json_string;

std::string json_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const auto& text : texts) out += (out.size() == 1 ? "" : ", ") + json_string(text);
  return out + "]";
}

}  // namespace

std::string as_table(const Report& report) {
  std::string out = report.object + "\n";
  for (const auto& fact : report.facts) out += fmt::format("  {}\n", fact);
  for (std::size_t i = 0; i < report.certificates.size(); ++i) {
    const auto& one = report.certificates[i];
    out += fmt::format("  {}. {}, issued by {}, until {}\n", i + 1, one.subject(), one.issuer(), tls::format_time(one.not_after()));
    if (i == 0) out += fmt::format("     SHA-256 {}\n", one.fingerprint());
  }
  for (const auto& finding : report.findings) {
    out += fmt::format("{:<9} {:<20} {}\n", tls::word(finding.level), finding.id, finding.text);
    if (!finding.remedy.empty() && finding.level != tls::Level::ok) out += fmt::format("{:<30} -> {}\n", "", finding.remedy);
  }
  const auto worst = tls::worst_of(report.findings);
  return out + (worst <= tls::Level::note ? "All is well.\n" : fmt::format("Worst finding: {}.\n", tls::word(worst)));
}

std::string as_json(const Report& report) {
  std::string out = fmt::format("{{\"object\": {}, \"level\": {}, \"facts\": {}, \"certificates\": [", json_string(report.object),
                                json_string(tls::word(tls::worst_of(report.findings))), json_list(report.facts));
  for (std::size_t i = 0; i < report.certificates.size(); ++i) {
    const auto& one = report.certificates[i];
    out += fmt::format("{}{{\"subject\": {}, \"issuer\": {}, \"names\": {}, \"not_before\": {}, \"not_after\": {}, \"sha256\": {}}}", i == 0 ? "" : ", ",
                       json_string(one.subject()), json_string(one.issuer()), json_list(one.host_names()), one.not_before(), one.not_after(), json_string(one.fingerprint()));
  }
  out += "], \"findings\": [";
  for (std::size_t i = 0; i < report.findings.size(); ++i) {
    const auto& one = report.findings[i];
    out += fmt::format("{}{{\"id\": {}, \"level\": {}, \"text\": {}, \"remedy\": {}}}", i == 0 ? "" : ", ", json_string(one.id), json_string(tls::word(one.level)),
                       json_string(one.text), json_string(one.remedy));
  }
  return out + "]}\n";
}

ExitCode exit_code_of(const tls::Findings& findings) {
  switch (tls::worst_of(findings)) {
    case tls::Level::ok:
    case tls::Level::note:
      return ExitCode::ok;
    case tls::Level::warning:
      return ExitCode::warning;
    case tls::Level::critical:
      break;
  }
  return ExitCode::critical;
}

}  // namespace qpop::popcert
