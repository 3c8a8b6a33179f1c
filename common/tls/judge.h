// SPDX-License-Identifier: MIT
// What is wrong with a server's key and chain, in words an administrator can act on. Used before a pair is served, and by popcert check.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/tls/bundle.h"
#include "common/tls/chain.h"

namespace qpop::tls {

/// note: worth knowing. warning: works today. critical: clients fail, or a stranger can listen.
enum class Level : std::uint8_t { ok, note, warning, critical };

/// `id` never changes its meaning; `text` one sentence; `remedy` what to do, empty for what is fine.
struct Finding {
  std::string id;
  Level level = Level::ok;
  std::string text;
  std::string remedy;
};
using Findings = std::vector<Finding>;

struct Wanted {
  std::vector<std::string> hosts;  ///< that clients connect to; none: names are not judged
  std::int64_t now = 0;            ///< seconds since the epoch
  int warn_days = 21;
  std::vector<Certificate> authorities;  ///< trusted besides those of this host
  bool trust = true;                     ///< also judge whether this host trusts the chain, which reads the host's authorities
};

/// The form of the file: marks, line ends, what is missing, doubled, encrypted or damaged. `needs_key`: the private key belongs into this file.
[[nodiscard]] Findings judge_form(const Bundle& bundle, bool needs_key);

/// Certificates as a server sends them, its own first. `key` may be null where only a client's view is there.
[[nodiscard]] Findings judge_chain(const std::vector<Certificate>& sent, const EVP_PKEY* key, const Wanted& wanted);

[[nodiscard]] Level worst_of(const Findings& findings);
[[nodiscard]] std::int64_t days_left(const Certificate& certificate, std::int64_t now);
/// "ok", "note", "warning", "critical".
[[nodiscard]] std::string_view word(Level level);

}  // namespace qpop::tls
