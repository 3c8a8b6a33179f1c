// SPDX-License-Identifier: MIT
// Whether the server can bear a crypt(3) string that somebody else made. Runs as: the caller.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace qpop::popauth {

/// The part of a crypt(3) string that its cost depends on: scheme and parameters, with every parameter. Of an
/// unknown scheme some salt may come along: tried once more than needed.
[[nodiscard]] std::string cost_part(std::string_view crypt);

/// Hashes once with the parameters of `crypt`, in a child that ends after half a second of processor time. The dummy of
/// authdb::make_dummy_crypt().
/// Errors  limit: takes too long; unsupported: unknown to crypt(3); io, limit: no child can be made.
[[nodiscard]] base::Result<std::string> try_crypt(const std::string& crypt);

}  // namespace qpop::popauth
