// SPDX-License-Identifier: MIT
// What the monitor asks the other roles to do. It knows no more of them: popper/main.cc binds these to the roles' own code.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/config/settings.h"
#include "common/ipc/channel.h"

namespace qpop::monitor {

/// Where one user's mail lies and whose it is.
struct MailOwner {
  std::string name;  ///< account
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home{};  ///< of system users only
  std::string spool_dir;
  std::string spool_name;  ///< the account's name, or the value of home-dir-mail
  std::string state_folder;
  bool in_home = false;       ///< the spool lies in his home: he makes its lock file himself
  bool lock_by_link = false;  ///< option no-atomic-open
};

/// Exit code of the maildrop role after an update that failed: its journal may stand, so a recovery follows at once.
inline constexpr int kUpdateFailed = 5;

enum class MaildropWork : std::uint8_t { open, update, recover };

/// One job of the maildrop role; the process drops to owner.uid before it does anything.
struct MaildropTask {
  bool waits = false;  ///< forked ahead: work, owner and session come with a message
  MaildropWork work = MaildropWork::open;
  MailOwner owner;
  const config::Settings* settings = nullptr;  ///< those of the monitor as they were at the fork
  std::string server_name;
  uid_t administrator = 0;                     ///< whose option files may set more than the user's own
  std::uint64_t boot = 0;                      ///< which run of the kernel this is; 0: unknown
  ipc::Channel monitor;
  ipc::Channel session;  ///< invalid for recover
};

struct AuthenticatorTask {
  std::string database;
  base::UniqueFd key;        ///< private key of the APOP secrets; invalid when there is none
  base::UniqueFd penalties;  ///< invalid when the file cannot be had
  uid_t uid = 0;
  gid_t gid = 0;
  std::int64_t failed_login_delay_s = 2;
  std::string server_name;
  bool ask_database = true;
  bool ask_system = false;
  std::uint32_t mechanisms = 0;  ///< ipc::LoginMechanismSet that the administrator allows
  bool take_certificates = false;
  bool bind_channels = false;
  ipc::Channel monitor;
};

/// Judges one client's certificate.
struct CheckerTask {
  ipc::Channel authenticator;
  base::UniqueFd profile;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string empty_root;
};

/// Forks processes that ask the system about one password.
struct CheckerStarterTask {
  ipc::Channel monitor;
  std::vector<std::string> backends;  ///< "pam", "shadow", in the order in which they are asked
  bool honour_password_age = true;
};

/// mail-command or login-command.
struct ProgramTask {
  std::string command;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string folder = "/";
  ipc::Channel monitor;
  ipc::Channel session;  ///< invalid for login-command
};

/// The name of one address.
struct ResolverTask {
  std::string address;
  uid_t uid = 0;
  gid_t gid = 0;
  ipc::Channel monitor;
};

struct SessionTask {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string empty_root;  ///< "" when not root
  ipc::Channel monitor;
};

/// Holds the private keys of the server's certificates.
struct SignerTask {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string empty_root;
  std::string ciphers;
  bool only_1_2 = false;
  bool only_1_3 = false;
  ipc::Channel monitor;
};

/// Each runs in a fresh child and returns its exit code.
struct Roles {
  std::function<int(SessionTask)> session;
  /// In the monitor, before it forks a session whose client may want TLS: what all of them share. May be called again.
  std::function<base::Status()> prepare_tls;
  std::function<int(AuthenticatorTask)> authenticator;
  std::function<int(MaildropTask)> maildrop;
  std::function<int(CheckerTask)> checker;
  std::function<int(CheckerStarterTask)> checker_starter;
  std::function<int(SignerTask)> signer;
  std::function<int(ProgramTask)> program;
  std::function<int(ResolverTask)> resolver;
};

}  // namespace qpop::monitor
