// SPDX-License-Identifier: MIT
// What the monitor knows of the processes it started.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/ipc/messages.h"
#include "popper/monitor/address.h"
#include "popper/monitor/roles.h"
#include "popper/monitor/spool_dotlock.h"

namespace qpop::monitor {

/// What may be asked in each phase stands in the request table (requests.cc).
enum class Phase : std::uint8_t {
  spare,          ///< waiting, no client yet
  authorization,  ///< has a client that has not logged in
  transaction,    ///< the authenticator named the user; a maildrop process was started
  updating,       ///< asked for the update
};

inline constexpr std::int64_t kAgainMs = 1'000;  ///< until a process that could not be had, or ended by itself, is tried again
inline constexpr std::size_t kRequestTypes = 64;

struct LiveSession {
  pid_t pid = -1;
  ipc::Channel channel;
  ipc::SessionId id{};
  Phase phase = Phase::spare;
  ClientAddress client;
  std::int64_t started_ms = 0;
  MailOwner owner;
  std::string client_name;  ///< "" when none is known
  ipc::UserSettings user;   ///< what his option files left of our settings
  std::int64_t accepted_ms = 0;  ///< login
  std::int64_t opened_ms = 0;    ///< maildrop
  std::int64_t update_ms = 0;    ///< update asked for
  bool reported = false;         ///< ended with QUIT
  std::uint32_t deleted = 0;     ///< says its report
  std::optional<ipc::SessionEnded> ended;
  std::array<unsigned, kRequestTypes> requests{};  ///< how often each type was asked
  bool can_tls = false;  ///< the process is prepared for TLS
  /// For log lines: its name, or its address when none is known.
  [[nodiscard]] const std::string& name_of_client() const { return client_name.empty() ? client.text : client_name; }
  bool told_to_end = false;
  bool reaped = false;  ///< its number may belong to another process by now
};

/// A process of the maildrop role and the channel to it.
struct MaildropProcess {
  pid_t pid = -1;
  ipc::Channel channel;
};

/// One that is at work.
struct MaildropJob {
  pid_t pid = -1;
  ipc::Channel channel;
  MaildropWork work = MaildropWork::open;
  MailOwner owner;
  pid_t session = -1;
  std::int64_t started_ms = 0;
  unsigned tries = 0;  ///< recoveries that died before this one
  std::optional<ipc::MaildropRecovered> recovered;
  std::unique_ptr<SpoolDotlock> dotlock;  ///< once asked for
  std::array<unsigned, kRequestTypes> requests{};
  bool unwanted = false;  ///< its session has gone: ended by us
  bool reaped = false;
};

/// A process that judges a certificate.
struct CheckerProcess {
  std::int64_t deadline_ms = 0;
};

/// The process that forks those who ask the system about one password.
struct CheckerStarterProcess {
  pid_t pid = -1;  ///< of a helper process; none yet
  std::int64_t started_ms = 0;
};

struct SignerProcess {
  pid_t pid = -1;
  ipc::Channel channel;
  bool retired = false;
};

/// What new sessions get: certificates, and the process that has the keys to them.
struct TlsProfile {
  base::UniqueFd file;  ///< invalid: no TLS
  pid_t signer = -1;
  std::uint32_t generation = 0;
  std::int32_t days_left = 0;  ///< of the first certificate to end, at since_ms
  std::int64_t since_ms = 0;
};

/// A program, or a resolver.
struct HelperProcess {
  ipc::Channel channel;
  ipc::SessionId session{};
  unsigned lines = 0;
};

struct AuthenticatorProcess {
  pid_t pid = -1;
  ipc::Channel channel;
  bool retired = false;
};

/// An authenticator or signer that gets no more sessions; it ends with those it serves.
template <class Process>
void retire(Process& process) {
  if (std::exchange(process.retired, true)) return;
  (void)process.channel.send(ipc::EndSession{}, {}, false);
}

}  // namespace qpop::monitor
