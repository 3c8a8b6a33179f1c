// SPDX-License-Identifier: MIT
// Names of the ways to log in: in the log, in the option sasl-mechanisms, and as they are counted.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "common/base/result.h"
#include "common/ipc/messages.h"

namespace qpop::monitor {

/// As they are counted: who logs in with a clear password is one, whatever the command.
inline constexpr std::array kMechanismNames{"password", "apop", "cram-md5", "scram-sha-256", "external"};

struct MechanismName {
  std::string_view name;   ///< in the log, and in sasl-mechanisms
  std::size_t counted_as;  ///< of kMechanismNames
};
/// In the order of ipc::LoginMechanism.
inline constexpr std::array kMechanisms{MechanismName{"USER/PASS", 0}, MechanismName{"APOP", 1},  MechanismName{"CRAM-MD5", 2}, MechanismName{"SCRAM-SHA-256", 3},
                                        MechanismName{"EXTERNAL", 4},  MechanismName{"PLAIN", 0}, MechanismName{"LOGIN", 0},    MechanismName{"SCRAM-SHA-256-PLUS", 3}};
static_assert(kMechanisms.size() == static_cast<std::size_t>(ipc::LoginMechanism::scram_plus) + 1);

/// A number that another process sent and that names none is taken for the first.
[[nodiscard]] constexpr const MechanismName& name_of(ipc::LoginMechanism mechanism) {
  return kMechanisms.at(mechanism <= ipc::LoginMechanism::scram_plus ? static_cast<std::size_t>(mechanism) : 0);
}

/// Value of sasl-mechanisms: words separated by blanks, in any case; none is a list as well. USER and PASS are always in the result:
/// clear-text-password judges them. Errors  malformed: a word that is none of them.
[[nodiscard]] base::Result<ipc::LoginMechanismSet> parse_mechanisms(std::string_view words);

}  // namespace qpop::monitor
