// SPDX-License-Identifier: MIT
// XTND XMIT: takes a message from the client and hands it to a process of the user's that runs mail-command.
// Runs as: popnet, without any right.
// Source: the original's extension.
#include <cstring>

#include "popper/session/dialogue.h"

namespace qpop::session {

namespace {
constexpr int kChannelMs = 30'000;
// The program may take two minutes.
constexpr int kResultMs = 180'000;
constexpr std::uint64_t kMostOctets = ipc::SubmitPart::kMostOctets;

/// Cuts the message into parts of fixed size.
class PartSender {
 public:
  explicit PartSender(const ipc::Channel& channel) : channel_(channel) {}
  bool add(std::string_view text) {
    total_ += text.size();
    if (total_ > kMostOctets) return false;
    while (!text.empty()) {
      const auto size = std::min<std::size_t>(text.size(), part_.bytes.size() - part_.size);
      std::memcpy(part_.bytes.data() + part_.size, text.data(), size);
      part_.size = static_cast<std::uint32_t>(part_.size + size);
      text.remove_prefix(size);
      if (part_.size == part_.bytes.size() && !flush()) return false;
    }
    return true;
  }
  bool flush() {
    const bool sent = part_.size == 0 || channel_.send(part_).has_value();
    part_.size = 0;
    return sent;
  }

 private:
  const ipc::Channel& channel_;
  ipc::SubmitPart part_;
  std::uint64_t total_ = 0;
};

}  // namespace

void Dialogue::on_xmit() {
  if (rules_.may_send == 0) return err("XTND XMIT is not offered by this server.");
  const auto sent = monitor_.send(ipc::RequestSubmit{});
  auto frame = sent ? monitor_.receive(kChannelMs) : base::Result<ipc::Frame>{sent.error()};
  ipc::SubmitChannel given;
  if (!frame || !frame->read(given) || frame->descriptors.size() != 1) return err("[SYS/TEMP] Unable to send message");
  const ipc::Channel program{std::move(frame->descriptors[0])};
  ok("Start sending message.");
  PartSender parts{program};
  bool whole = true;
  client_.limit_line(pop3::kMaxResponseLine);
  for (;;) {
    const auto event = client_.next(deadline());
    if (event == Client::Event::too_long) {
      whole = false;
      continue;
    }
    if (event != Client::Event::line) {
      client_.limit_line(pop3::kMaxCommandLine);
      return handle_event(event);
    }
    last_command_ms_ = clock_.monotonic_ms();
    auto line = client_.line();
    if (line == ".") break;
    if (line.starts_with('.')) line.remove_prefix(1);
    whole = whole && parts.add(line) && parts.add("\n");
  }
  client_.limit_line(pop3::kMaxCommandLine);
  // Without its end the program gets nothing.
  if (!whole || !parts.flush() || !program.send(ipc::SubmitEnd{})) return err("Unable to send message: too long, or a line of it is");
  frame = program.receive(kResultMs);
  ipc::SubmitDone done;
  if (!frame || !frame->read(done) || done.exit_code != 0) return err("Unable to send message");
  ok("Message sent successfully");
}

}  // namespace qpop::session
