// SPDX-License-Identifier: MIT
// Prints a text that is made from a table: generate_texts sample|manual|findings. Options, or findings of popcheck.
#include <cstdio>
#include <string>
#include <string_view>

#include "common/check/findings.h"
#include "common/config/generate.h"

namespace {

/// A sentence a line, as manuals are written.
std::string sentences(std::string text) {
  for (auto at = text.find(". "); at != std::string::npos; at = text.find(". ", at)) text[at + 1] = '\n';
  return text;
}

std::string findings_text() {
  using namespace qpop::check;
  std::string out;
  for (const auto& row : kTable) {
    out += ".It " + std::string{row.name} + " (" + std::string{name_of(row.severity)} + ")\n";
    out += std::string{row.title} + ".\n" + sentences(std::string{row.reason}) + "\nRepair: " + sentences(std::string{row.repair}) + ".\n";
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what != "sample" && what != "manual" && what != "findings") {
    std::fputs("usage: generate_texts sample|manual|findings\n", stderr);
    return 1;
  }
  const auto text = what == "findings" ? findings_text() : what == "sample" ? qpop::config::sample_text() : qpop::config::manual_text();
  return std::fputs(text.c_str(), stdout) < 0 ? 1 : 0;
}
