// SPDX-License-Identifier: MIT
// Rows of the option table (options.h): what clients are told and may do.
#pragma once

#include <array>

#include "common/config/option.h"

namespace qpop::config {

inline constexpr std::array kProtocolRows{
    Option{Opt::shy, "shy", 0, Type::boolean, Scope::I, "false", 0, 0, "", "hide name and version before login",
           "The greeting is +OK ready, and CAPA shows IMPLEMENTATION only after login.", false},
};

}  // namespace qpop::config
