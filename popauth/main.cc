// SPDX-License-Identifier: MIT
// popauth: manages the database of APOP and POP secrets.
// Runs as: pop (set-uid) with the real uid of any user, or root, or the owner of a private database. Source:
// popauth(8).
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "common/base/text.h"
#include "popauth/audit.h"
#include "popauth/command_line.h"
#include "popauth/database_access.h"
#include "popauth/identity.h"
#include "popauth/messages.h"
#include "popauth/safe_start.h"
#include "popauth/trace.h"
#include "popauth/verbs.h"

#if QPOP_SANITIZED
// A process that may not be dumped cannot be searched for leaks.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "detect_leaks=0";
}
#endif

namespace {

using namespace qpop::popauth;

ExitCode run_on_database(const Identity& identity, Command& command) {
  const auto path = database_path(identity, command);
  if (!path) return fail(path.error());
  open_audit();
  if (command.debug) trace_to_log();
  if (!command.trace.empty()) {
    if (auto ok = open_trace(command.trace); !ok) return fail(ok.error());
  }
  trace(fmt::format("{} uses {}", qpop::base::escape_untrusted(identity.who(), 80),
                    qpop::base::escape_untrusted(*path, 200)));
  if (auto ok = require_reach(identity, *path); !ok) return fail(ok.error());
  switch (command.verb) {
    case Verb::set:
      return set_password(identity, command, *path);
    case Verb::remove:
      return remove_account(identity, command, *path);
    case Verb::list:
      return list_accounts(identity, command, *path);
    case Verb::init:
      return initialise(identity, command, *path);
    case Verb::disable:
    case Verb::enable:
      return switch_account(identity, command, *path);
    case Verb::check:
      return check_password(identity, command, *path);
    case Verb::import_file:
      return import_accounts(identity, command, *path);
    case Verb::export_file:
      return export_accounts(identity, command, *path);
    case Verb::backup:
      return back_up(identity, command, *path);
    case Verb::restore:
      return restore_database(identity, command, *path);
    case Verb::compact:
      return compact_database(identity, command, *path);
    case Verb::help:
    case Verb::version:
      break;
  }
  return ExitCode::failed;
}

ExitCode run(int argc, char** argv) {
  make_start_safe();
  auto command = parse_command_line(argc, argv);
  const auto identity = Identity::take();
  if (!identity) return fail(identity.error(), ExitCode::unsafe);
  if (!command) {
    fail(command.error());
    // The first words of the original's second line; scripts look for them.
    std::fputs("usage: popauth [option]...; popauth -help lists the options\n", stderr);
    return ExitCode::failed;
  }
  if (command->verb == Verb::help) {
    std::fputs(usage().data(), stderr);
    return ExitCode::failed;
  }
  if (command->verb == Verb::version) {
    std::puts("popauth v" QPOP_VERSION);
    return ExitCode::ok;
  }
  return run_on_database(*identity, *command);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return static_cast<int>(run(argc, argv));
  } catch (const std::exception& error) {
    return static_cast<int>(fail(error.what()));
  }
}
