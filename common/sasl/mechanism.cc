// SPDX-License-Identifier: MIT
// Names of mechanisms.
#include "common/sasl/mechanism.h"

#include <array>

#include "common/base/text.h"

namespace qpop::sasl {

namespace {

struct Name {
  Mechanism mechanism;
  std::string_view text;
};
constexpr std::array kNames{
    Name{Mechanism::scram_sha_256_plus, "SCRAM-SHA-256-PLUS"},
    Name{Mechanism::scram_sha_256, "SCRAM-SHA-256"},
    Name{Mechanism::external, "EXTERNAL"},
    Name{Mechanism::cram_md5, "CRAM-MD5"},
    Name{Mechanism::plain, "PLAIN"},
    Name{Mechanism::login, "LOGIN"},
};

}  // namespace

std::optional<Mechanism> find_mechanism(std::string_view name) {
  for (const auto& row : kNames) {
    if (base::equal_ignoring_case(row.text, name)) return row.mechanism;
  }
  return std::nullopt;
}

std::string list(MechanismSet set, std::string_view separator) {
  std::string out;
  for (const auto& row : kNames) {
    if (!has(set, row.mechanism)) continue;
    if (!out.empty()) out += separator;
    out += row.text;
  }
  return out;
}

}  // namespace qpop::sasl
