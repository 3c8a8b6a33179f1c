// SPDX-License-Identifier: MIT
// Prints a text that is made from the option table: generate_texts sample|manual.
#include <cstdio>
#include <string_view>

#include "common/config/generate.h"

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what != "sample" && what != "manual") {
    std::fputs("usage: generate_texts sample|manual\n", stderr);
    return 1;
  }
  const auto text = what == "sample" ? qpop::config::sample_text() : qpop::config::manual_text();
  return std::fputs(text.c_str(), stdout) < 0 ? 1 : 0;
}
