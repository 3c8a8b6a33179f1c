// SPDX-License-Identifier: MIT
// Spools and left-over temporary drops, and what must be in the spool when the mail was taken over.
#pragma once

#include <string>
#include <vector>

#include "tests/fault/maildrop_fixture.h"

namespace qpop::test {

struct TakeOver {
  std::string name;
  std::string spool;  ///< "-": no file
  std::string drop;
  std::string want;
};

inline std::string cut_end(const std::string& text, std::size_t octets) { return text.substr(0, text.size() - octets); }

inline std::vector<TakeOver> take_overs() {
  const auto a = mbox_message(1);
  const auto b = mbox_message(2, 900);
  const auto c = mbox_message(3);
  const auto d = mbox_message(4, 300'000);
  const auto m = mmdf_message(5);
  const auto n = mmdf_message(6, 800);
  return {
      {"empty spool", "", a + b, a + b},
      {"no spool", "-", a + b, a + b},
      {"spool with new mail", c, a + b, a + b + c},
      {"spool with more mail", b + c, a, a + b + c},
      {"large ones", d + c, a + b, a + b + d + c},
      {"large drop", c, d + b, d + b + c},
      {"drop without its last empty line", c, a + cut_end(b, 1), a + b + c},
      {"spool without its last empty line", cut_end(c, 1), a + b, a + b + c},
      {"the copy that Qpopper was making", a + b + c, a + b, a + b + c},
      {"a copy with other mail behind it", b + c, a + b, b + c + a},
      {"MMDF", n, m, m + n},
  };
}

/// The messages of a spool, without order.
inline std::vector<std::string> messages_in(const std::string& spool) {
  const MaildropFixture plain;
  plain.write_spool(spool);
  Process process{plain};
  auto messages = contents_of(*process.open());
  std::ranges::sort(messages);
  return messages;
}

}  // namespace qpop::test
