// SPDX-License-Identifier: MIT
// Texts made from the option table: help, sample configuration, option section of the manual page, effective values.
#pragma once

#include <string>

#include "common/config/settings.h"

namespace qpop::config {

/// Usage and one line an option, for --help.
[[nodiscard]] std::string help_text();
/// conf/qpopper.config: every option that does something with its default, commented out.
[[nodiscard]] std::string sample_text();
/// man/qpopper.config.5 (mdoc).
[[nodiscard]] std::string manual_text();
/// "set name = value  # where it came from", one line an option; can be read back as a configuration file.
[[nodiscard]] std::string effective_text(const Settings& settings);

}  // namespace qpop::config
