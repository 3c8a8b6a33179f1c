// SPDX-License-Identifier: MIT
// Questions to the signer.
// Runs as: popnet, without any right.
#include "popper/session/tls_link.h"

#include "common/base/secret.h"
#include "common/tls/profile.h"

namespace qpop::session {

namespace {

using base::Error;
using base::ErrorKind;

constexpr int kAnswerMs = 10'000;  // some hundred signatures of others may stand before ours

}  // namespace

base::Status TlsLink::prepare() {
  if (server_) return {};
  tls::Hooks hooks;
  hooks.sign = [this](const tls::SignRequest& request) { return sign(request); };
  hooks.store = [this](std::string_view id, std::string_view session) { store(id, session); };
  hooks.find = [this](std::string_view id, bool once) { return find(id, once); };
  auto server = tls::Server::prepare(std::move(hooks));
  if (!server) return server.error();
  server_.emplace(std::move(*server));
  return {};
}

void TlsLink::take_profile(base::UniqueFd profile, ipc::Channel signer) {
  profile_ = std::move(profile);
  signer_ = std::move(signer);
}

base::Status TlsLink::configure() {
  if (configured_) return {};
  if (!server_) return Error{ErrorKind::unsupported, "TLS was not prepared"};
  auto decoded = tls::read_profile(profile_.get());
  profile_.reset();
  auto done = decoded ? server_->configure(std::move(*decoded)) : base::Status{decoded.error()};
  configured_ = done.has_value();
  return done;
}

base::Result<std::unique_ptr<tls::Connection>> TlsLink::connect(int socket) {
  if (!server_) return Error{ErrorKind::unsupported, "TLS was not prepared"};
  return server_->connect(socket);
}

base::Result<std::string> TlsLink::sign(const tls::SignRequest& request) const {
  ipc::SignDigest question;
  question.key = request.key;
  question.scheme = static_cast<std::uint32_t>(request.scheme);
  question.digest = static_cast<std::uint32_t>(request.digest);
  question.octets.set(request.octets);
  if (auto sent = signer_.send(question); !sent) return sent.error();
  auto frame = signer_.receive(kAnswerMs);
  ipc::DigestSigned reply;
  if (!frame) return frame.error();
  if (!frame->read(reply) || reply.signature.view().empty()) return Error{ErrorKind::denied, "the signer refused"};
  return std::string{reply.signature.view()};
}

void TlsLink::store(std::string_view id, std::string_view session) const {
  ipc::StoreTlsSession message;
  message.id.set(id);
  message.session.set(session);
  if (signer_.valid() && id.size() <= ipc::TlsSessionId::kMost) (void)signer_.send(message, {}, false);
  base::wipe(std::as_writable_bytes(std::span{&message, 1}));
}

std::string TlsLink::find(std::string_view id, bool once) const {
  ipc::FindTlsSession question;
  ipc::TlsSessionFound found;
  question.id.set(id);
  question.once = once ? 1 : 0;
  if (!signer_.valid() || id.size() > ipc::TlsSessionId::kMost || !signer_.send(question)) return {};
  auto frame = signer_.receive(kAnswerMs);
  std::string session = frame && frame->read(found) ? std::string{found.session.view()} : std::string{};
  base::wipe(std::as_writable_bytes(std::span{&found, 1}));
  return session;
}

}  // namespace qpop::session
