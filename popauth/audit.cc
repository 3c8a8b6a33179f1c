// SPDX-License-Identifier: MIT
// The audit line.
#include "popauth/audit.h"

#include <fmt/format.h>
#include <syslog.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/log/log.h"

namespace qpop::popauth {

void open_audit() {
  log::open({.ident = "popauth", .facility = LOG_AUTH, .to_syslog = true, .to_stderr = false});
}

void audit(const Identity& identity, const AuditEntry& entry) {
  const char* tty = ::ttyname(STDIN_FILENO);
  const auto target = base::escape_untrusted(entry.target, 80);
  const auto line = fmt::format("{} [uid={} tty={} verb={} target={} result={}]", entry.text, identity.real_uid(),
                                tty != nullptr ? tty : "none", entry.verb, target, entry.result);
  log::write(entry.result == "ok" ? log::Severity::info : log::Severity::warning, line);
}

}  // namespace qpop::popauth
