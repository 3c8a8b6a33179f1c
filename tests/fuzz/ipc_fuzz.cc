// SPDX-License-Identifier: MIT
// Messages as a captured process would send them: received whole or refused, fields never longer than they are.
#include <sys/socket.h>

#include <cstdint>
#include <cstdlib>

#include "common/ipc/messages.h"

namespace {

using namespace qpop::ipc;

void require(bool ok) {
  if (!ok) std::abort();
}

template <class T>
void check_text(const Frame& frame) {
  T message;
  if (!frame.read(message)) return;
  require(frame.size == sizeof(T));
  if constexpr (requires { message.user; }) require(message.user.view().size() <= 255);
  if constexpr (requires { message.text; }) require(message.text.view().size() <= sizeof message.text.bytes);
  if constexpr (requires { message.reason.bytes; }) require(message.reason.view().size() <= 120);
  if constexpr (requires { message.nonce.bytes; }) require(message.nonce.view().size() <= sizeof message.nonce.bytes);
  if constexpr (requires { message.bare.bytes; }) require(message.bare.view().size() <= sizeof message.bare.bytes);
  if constexpr (requires { message.without_proof.bytes; }) require(message.without_proof.view().size() <= sizeof message.without_proof.bytes);
  if constexpr (requires { message.block.bytes; }) require(message.block.view().size() <= sizeof message.block.bytes);
  if constexpr (requires { message.password.bytes; }) require(message.password.view().size() <= 255);
  if constexpr (requires { message.stamp; }) require(message.stamp.view().size() <= 320);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto ends = [] {
    auto pair = Channel::pair();
    require(pair.has_value());
    return std::move(*pair);
  }();
  if (size == 0 || size > 8192) return 0;
  // Half of the inputs get a right header, so that the fields behind it are reached.
  std::vector<std::uint8_t> bytes{data, data + size};
  if (bytes[0] % 2 == 0 && bytes.size() >= sizeof(MessageHeader)) {
    const MessageHeader header{kProtocol, bytes[4], static_cast<std::uint16_t>(bytes.size() - sizeof(MessageHeader))};
    std::memcpy(bytes.data(), &header, sizeof header);
  }
  require(::send(ends.first.fd(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  const auto frame = ends.second.receive(0);
  if (!frame) return 0;
  require(frame->size <= kMaxMessage);
  check_text<StartSession>(*frame);
  check_text<MaildropChannel>(*frame);
  check_text<LogLine>(*frame);
  check_text<LoginAccepted>(*frame);
  check_text<LoginFailed>(*frame);
  check_text<SessionGreeting>(*frame);
  check_text<VerifyPassword>(*frame);
  check_text<VerifyApop>(*frame);
  check_text<VerifyCram>(*frame);
  check_text<CramChallenge>(*frame);
  check_text<ScramBegin>(*frame);
  check_text<ScramChallenge>(*frame);
  check_text<ScramFinish>(*frame);
  check_text<ScramSignature>(*frame);
  check_text<CheckSystemPassword>(*frame);
  check_text<SystemVerdict>(*frame);
  check_text<AttachSession>(*frame);
  check_text<UpdatePart>(*frame);
  check_text<MaildropRecovered>(*frame);
  return 0;
}
