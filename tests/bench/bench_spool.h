// SPDX-License-Identifier: MIT
// Spools of generated mail for the benchmarks: the head of a message as relays leave it, and a file full of them.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "common/base/unique_fd.h"

namespace qpop::bench {

/// From_ line and header fields without the ones of the content, number by number different.
[[nodiscard]] std::string message_head(std::size_t number);

/// Makes message `number`, its From_ line and the empty line behind it included.
using MakeMessage = std::function<std::string(std::size_t number)>;

/// A file in `folder` that has no name any more, of at least `octets`. Invalid when it cannot be written.
[[nodiscard]] base::UniqueFd make_spool(const std::string& folder, std::size_t octets, const MakeMessage& make);

/// Text of lines with an empty one after each dozen, not longer than `octets`.
[[nodiscard]] std::string prose(std::size_t octets);

}  // namespace qpop::bench
