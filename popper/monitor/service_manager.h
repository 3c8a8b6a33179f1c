// SPDX-License-Identifier: MIT
// The two small protocols of systemd that we speak: sockets handed over by number, and state messages.
//
// Written here rather than taken from libsystemd: the protocols are a number in the environment and a datagram, and the library
// would bring compression and cryptography code into a process that runs as root.
// Source: sd_listen_fds(3), sd_notify(3).
#pragma once

#include <string>
#include <vector>

namespace qpop::monitor {

struct PassedSocket {
  int fd = -1;
  std::string name;  ///< FileDescriptorName=, or what systemd puts there without it
};

/// Descriptors passed by the service manager (3 and up), close-on-exec set; removes the variables from the environment.
[[nodiscard]] std::vector<PassedSocket> take_passed_sockets();

/// Tells the service manager, when there is one: "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=...".
void notify_service_manager(const std::string& state);

}  // namespace qpop::monitor
