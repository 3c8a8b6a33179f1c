// SPDX-License-Identifier: MIT
// popper --who, --kick, --metrics: asks the server that runs with this configuration.
// Runs as: root, or the user who started the server.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/config/settings.h"
#include "common/ipc/control_messages.h"

namespace qpop::monitor {

/// Where a server with these settings is asked.
[[nodiscard]] std::string control_path(const config::Settings& settings);

/// Option metrics-listen. Errors  malformed, denied: neither a path nor a loopback address.
[[nodiscard]] base::Status check_metrics_listen(const std::string& text);

/// Errors  not_found: no server answers there; denied: it is somebody else's; io.
[[nodiscard]] base::Result<std::string> ask_server(const std::string& path, ipc::ControlVerb verb, const std::string& user);

}  // namespace qpop::monitor
