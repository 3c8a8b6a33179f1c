// SPDX-License-Identifier: MIT
// The asking end of the control socket.
#include "popper/monitor/ask_server.h"

#include <sys/socket.h>

#include <cerrno>

#include "popper/monitor/unix_address.h"

namespace qpop::monitor {

using base::Error;
using base::ErrorKind;

base::Result<std::string> ask_server(const std::string& path, ipc::ControlVerb verb, const std::string& user) {
  constexpr int kAnswerMs = 5000;
  const auto address = unix_address(path);
  if (!address) return address.error().at("control socket", path);
  base::UniqueFd fd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  if (!fd.valid()) return Error::from_errno(errno, "socket");
  if (::connect(fd.get(), address->get(), address->size) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return Error{ErrorKind::not_found, "no server answers at " + path + "; is it stand-alone, and -f FILE the one it was started with?"};
    return Error::from_errno(errno, "connect").at("control socket", path);
  }
  const ipc::Channel channel{std::move(fd)};
  ipc::ControlRequest request;
  request.verb = verb;
  request.user.set(user);
  if (auto sent = channel.send(request); !sent) return sent.error();
  std::string text;
  for (;;) {
    auto frame = channel.receive(kAnswerMs);
    ipc::ControlText part;
    if (!frame) return frame.error();
    if (!frame->read(part)) return Error{ErrorKind::malformed, "the server is of another version"};
    if (part.text.view().empty()) return text;
    text += part.text.view();
  }
}

}  // namespace qpop::monitor
