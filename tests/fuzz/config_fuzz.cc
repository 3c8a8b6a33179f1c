// SPDX-License-Identifier: MIT
// Configuration text: never a crash, and what was set is printed in a form that reads back the same.
#include <cstdint>
#include <cstdlib>

#include "common/config/generate.h"
#include "common/config/placement.h"
#include "common/config/reader.h"

namespace {

using namespace qpop::config;

void require(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  // Other files are another matter.
  if (text.find("config-file") != std::string_view::npos || text.find("CONFIG") != std::string_view::npos) return 0;
  Settings first;
  for (const auto& problem : read_text(text, "f", first)) require(problem.text.starts_with("f line "));
  Settings second;
  require(!has_errors(read_text(effective_text(first), "g", second)));
  for (const Option& row : kOptions) require(row.obsolete || first.list(row.id) == second.list(row.id));
  for (const auto& drop : place(first, "ada", "/home/ada").temporary_drops) require(is_file_name(drop.name));
  return 0;
}
