// SPDX-License-Identifier: MIT
// Answers and the log lines that go with them.
// Runs as: popnet, without any right.
#include "common/base/text.h"
#include "popper/session/dialogue.h"

namespace qpop::session {

/// "ada at 192.0.2.1 (192.0.2.1)", the form that log watchers of the original know.
std::string Dialogue::who() const {
  const auto client = start_.client.view();
  return fmt::format("{} at {} ({})", has_user_ ? base::escape_word(user_, 80) : "(null)", client, client);
}

void Dialogue::ok(std::string_view text) {
  if (quiet_) return;
  trace("answer +OK", text);
  client_.put("+OK ");
  client_.put(text);
  client_.put("\r\n");
}

/// Without a log line.
void Dialogue::say_error(std::string_view text) {
  if (quiet_) return;
  trace("answer -ERR", text);
  client_.put("-ERR ");
  client_.put(text);
  client_.put("\r\n");
}

void Dialogue::err(std::string_view text) {
  say_error(text);
  log::info("{}: -ERR {}", who(), text);
}

void Dialogue::sign_off() { ok(fmt::format("Pop server at {} signing off.", start_.server_name.view())); }

}  // namespace qpop::session
