// SPDX-License-Identifier: MIT
// The option sasl-mechanisms.
#include "popper/monitor/mechanisms.h"

#include <fmt/format.h>

#include "common/base/text.h"

namespace qpop::monitor {

base::Result<ipc::LoginMechanismSet> parse_mechanisms(std::string_view words) {
  ipc::LoginMechanismSet set = ipc::bit(ipc::LoginMechanism::password);
  for (const auto word : base::words(words)) {
    std::size_t found = 1;  // the first one is no word of the list
    while (found < kMechanisms.size() && !base::equal_ignoring_case(kMechanisms.at(found).name, word)) ++found;
    if (found == kMechanisms.size()) {
      return base::Error{base::ErrorKind::malformed, fmt::format("\"{}\": want apop, scram-sha-256-plus, scram-sha-256, external, cram-md5, plain or login",
                                                                 base::escape_untrusted(word, 80))};
    }
    set |= ipc::bit(static_cast<ipc::LoginMechanism>(found));
  }
  return set;
}

}  // namespace qpop::monitor
