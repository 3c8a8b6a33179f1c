// SPDX-License-Identifier: MIT
// The checker role: asks PAM or the shadow file about one password, and ends.
//
// Why a process of its own: PAM modules are foreign code that needs root's rights and may hang, crash or change the process they run
// in. The password comes from the authenticator over a channel of the two; the monitor, which started both, never sees it.
// Runs as: root, or the user who started the server; for one question, at most kMostSeconds.
#pragma once

#include <string>
#include <vector>

#include "common/base/secret.h"
#include "common/ipc/messages.h"

namespace qpop::checker {

inline constexpr unsigned kMostSeconds = 30;
inline constexpr const char* kPamService = "qpopper";

enum class Backend : std::uint8_t { pam, shadow };

struct Start {
  ipc::Channel authenticator;
  std::vector<Backend> backends;  ///< the next is asked when a user is unknown to the one before
  std::string client;             ///< numeric address, for PAM_RHOST and PAM_TTY
  bool honour_password_age = true;  ///< option check-password-expired; PAM modules have options of their own
};

/// Answers one CheckSystemPassword with a SystemVerdict. Returns the exit code.
int run_checker(Start start);

/// What forks a checker for each login.
struct StarterStart {
  ipc::Channel monitor;  ///< StartChecker comes from there, with one end of a pair that leads to the authenticator
  std::vector<Backend> backends;
  bool honour_password_age = true;
};

/// Until the monitor closes its end, and the last checker has ended. Ended by SIGKILL, it takes its checkers with it. Returns the exit code.
int run_checker_starter(StarterStart start);

/// One client's certificate, for AUTH EXTERNAL: the proof is taken apart in a process that has no right and ends after it.
struct CertificateStart {
  ipc::Channel authenticator;
  base::UniqueFd profile;  ///< of the server (common/tls/profile.h), with the authorities of clients
  uid_t uid = 0;
  gid_t gid = 0;
  std::string empty_root;  ///< "" when not root
};

/// Answers one VerifyExternal, with its parts, with a CertificateVerdict. Runs as: tls-user, without files. Returns the exit code.
int run_certificate_checker(CertificateStart start);

struct Answer {
  ipc::SystemOutcome outcome = ipc::SystemOutcome::temporary_failure;
  std::string reason;  ///< for the log
};

/// Service "qpopper". Password and account are asked about, no session is opened.
[[nodiscard]] Answer ask_pam(const std::string& user, const base::Secret& password, const std::string& client);

/// `today`: days since 1970-01-01, as the shadow file counts.
[[nodiscard]] Answer ask_shadow(const std::string& user, const base::Secret& password, bool honour_password_age, long today);

}  // namespace qpop::checker
