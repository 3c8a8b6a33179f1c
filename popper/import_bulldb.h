// SPDX-License-Identifier: MIT
// popper --import-bulldb: binds the accounts of this server to the work of popper/takeover.
//
// Runs as: root, or the user who started it.
#pragma once

#include <string>

#include "common/config/settings.h"
#include "popper/monitor/monitor.h"

namespace qpop {

/// Returns the exit code. `path`: the bulletin database of a Qpopper.
int import_bulldb(const config::Settings& settings, const monitor::Environment& environment, const std::string& path);

}  // namespace qpop
