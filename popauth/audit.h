// SPDX-License-Identifier: MIT
// One line in the system log for every attempt to change something.
#pragma once

#include <string>
#include <string_view>

#include "popauth/identity.h"

namespace qpop::popauth {

void open_audit();

/// `text`: the original's words, so that log watchers find them. Appended: real uid, terminal, verb, target, result.
struct AuditEntry {
  std::string text;
  std::string_view verb;
  std::string target;
  std::string_view result = "ok";
};
void audit(const Identity& identity, const AuditEntry& entry);

}  // namespace qpop::popauth
