// SPDX-License-Identifier: MIT
// The command line of popcert: a verb, then options by Boost.Program_options.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/tls/key.h"

namespace qpop::popcert {

enum class Verb : std::uint8_t { help, version, init, request, install, check, renew, deploy_hook, profile };

/// Numbers as monitoring programs of the Nagios kind want them; popcert(8) lists them.
enum class ExitCode : int { ok = 0, warning = 1, critical = 2, usage = 3, failed = 4 };

struct Command {
  Verb verb = Verb::help;
  std::vector<std::string> hosts;
  std::string file;      ///< empty: tls-server-cert-file of the configuration, or the default
  std::string key_file;  ///< empty: tls-private-key-file of the configuration, or in `file`
  std::string configuration;  ///< -f
  std::string ca_file;
  std::string connect;   ///< HOST[:PORT] of check
  std::string user;      ///< of profile
  std::string folder;    ///< of profile: where files go
  std::vector<std::string> sources;  ///< of install and deploy-hook
  tls::KeyKind key_kind = tls::KeyKind::ecdsa_p256;
  int days = 0;  ///< 0: the usual
  int warn_days = 21;
  bool private_authority = false;
  bool force = false;
  bool stls = false;
  bool json = false;
  bool quiet = false;
};

/// `arguments` without the program's name. Errors  malformed: wrong use, text for the user.
[[nodiscard]] base::Result<Command> parse_command_line(const std::vector<std::string>& arguments);

/// Of all verbs, or of one.
[[nodiscard]] std::string usage(Verb verb);

}  // namespace qpop::popcert
