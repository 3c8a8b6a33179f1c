// SPDX-License-Identifier: MIT
// Accepting clients, and the limits on them.
// Runs as: root, or the user who started the server. A client's socket stays here for no longer than accept and hand-over.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "common/config/announced.h"
#include "common/log/log.h"
#include "popper/monitor/monitor.h"
#include "popper/monitor/startup.h"

namespace qpop::monitor {

namespace {

using config::Opt;

constexpr int kAcceptsAtOnce = 16;
constexpr std::int64_t kPauseMs = 200;
constexpr std::int64_t kRefusalLogMs = 10'000;  // a flood of refusals is one line in this time

/// What CAPA says before anybody has logged in.
void announce(const config::Settings& settings, ipc::StartSession& start) {
  start.expire_days = config::announced_expiry(settings);
  start.login_delay_s = static_cast<std::uint32_t>(settings.number(Opt::announce_login_delay));
  start.per_user = settings.boolean(Opt::user_options) || settings.boolean(Opt::spool_options) ? 1 : 0;
  start.debug = settings.boolean(Opt::debug) ? 1 : 0;
  // The session sees no zone file.
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  if (::localtime_r(&now, &local) != nullptr) start.utc_offset_s = static_cast<std::int32_t>(local.tm_gmtoff);
}

}  // namespace

void Monitor::watch_listener(const OpenListener& listener) {
  watch(listener.fd.get(), [this, fd = listener.fd.get(), tls = listener.tls] { on_accept(fd, tls); });
}

void Monitor::on_accept(int listener, bool tls) {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    base::UniqueFd client{::accept4(listener, reinterpret_cast<sockaddr*>(&address), &size, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (!client.valid()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) pause_accepting("out of descriptors or memory");
      return;
    }
    admit(std::move(client), describe_client(address), speaks_tls_at_once(tls));
  }
}

void Monitor::pause_accepting(const char* why) {
  log::error("cannot accept clients: {}; trying again in {} ms", why, kPauseMs);
  for (const auto& listener : listeners_) unwatch(listener.fd.get());
  if (metrics_.valid()) unwatch(metrics_.get());
  accept_again_ms_ = clock_.monotonic_ms() + kPauseMs;
}

const char* Monitor::reason_to_refuse(const ClientAddress& address) {
  const auto limit = [this](Opt id) { return static_cast<std::size_t>(settings_.number(id)); };
  if (sessions_.size() - spares_.size() >= limit(Opt::max_sessions)) return "max-sessions reached";
  const auto found = per_block_.find(address.block);
  if (found != per_block_.end() && found->second >= limit(Opt::max_sessions_per_address)) return "max-sessions-per-address reached";
  return nullptr;
}

void Monitor::log_refusal(const ClientAddress& address, const char* reason) {
  ++refusals_;
  ++counters_.refused_connections;
  const auto now = clock_.monotonic_ms();
  if (refusals_logged_ms_ != 0 && now - refusals_logged_ms_ < kRefusalLogMs) return;
  log::warning("connection from {} refused: {} ({} refused since the last such line)", address.text, reason, refusals_);
  refusals_logged_ms_ = now;
  refusals_ = 0;
}

void Monitor::admit(base::UniqueFd client, const ClientAddress& address, bool tls_at_once) {
  if (const char* reason = reason_to_refuse(address); reason != nullptr) {
    constexpr std::string_view kAnswer = "-ERR [SYS/TEMP] Too many connections, try again later\r\n";
    // Who begins with TLS would not understand it in clear.
    if (!tls_at_once) ::send(client.get(), kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return log_refusal(address, reason);
  }
  if (tls_at_once && !profile_.file.valid()) return log_refusal(address, "no certificate can be used");
  make_room_for_login();
  while (!spares_.empty() && !sessions_.contains(spares_.front())) spares_.pop_front();
  LiveSession* session = nullptr;
  if (!spares_.empty()) {
    session = &sessions_.at(spares_.front());
    spares_.pop_front();
  } else if (session = spawn_session(); session != nullptr) {
    std::erase(spares_, session->pid);
  }
  if (session != nullptr) hand_over(*session, std::move(client), address, tls_at_once);
}

/// Clients that connect and say nothing must not keep others out: the oldest that has not logged in goes.
void Monitor::make_room_for_login() {
  if (not_logged_in_.empty() || not_logged_in_.size() < static_cast<std::size_t>(settings_.number(Opt::max_unauthenticated))) return;
  const pid_t oldest = not_logged_in_.begin()->second;
  log::warning("session of {} ended before login: max-unauthenticated reached", sessions_.at(oldest).client.text);
  end_session(oldest, true);
}

/// In clear; inside TLS see hand_over().
bool Monitor::clear_text_allowed(const ClientAddress& address) const {
  const auto& policy = settings_.text(Opt::clear_text_password);
  if (policy == "always") return true;
  return (policy == "default" || policy == "local") && address.loopback;
}

void Monitor::hand_over(LiveSession& session, base::UniqueFd client, const ClientAddress& address, bool tls_at_once) {
  const int flags = ::fcntl(client.get(), F_GETFL);
  ::fcntl(client.get(), F_SETFL, flags | O_NONBLOCK);
  const int on = 1;
  ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // answers leave whole; waiting for more helps nobody
  ::setsockopt(client.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  auto pair = ipc::Channel::pair();
  const auto authenticator = std::ranges::find_if(authenticators_, [](const auto& entry) { return !entry.second.retired; });
  ipc::AttachSession attach;
  attach.session = session.id;
  const auto& policy = settings_.text(Opt::clear_text_password);
  attach.block.set(address.block);
  attach.clear_text_allowed = clear_text_allowed(address) ? 1 : 0;
  attach.clear_text_not_with_apop = policy == "local" ? 1 : 0;
  attach.clear_text_inside_tls = policy == "default" || policy == "tls" || policy == "ssl" ? 1 : 0;
  if (pair && authenticator != authenticators_.end()) {
    const std::array<int, 1> end{pair->second.fd()};
    if (auto sent = authenticator->second.channel.send(attach, end, false); !sent) log::error("authenticator: {}", sent.error().message());
  }
  ipc::StartSession start;
  start.client.set(address.text);
  start.server_name.set(environment_.server_name);
  start.idle_seconds = static_cast<std::uint32_t>(settings_.number(Opt::timeout));
  start.login_seconds = static_cast<std::uint32_t>(settings_.number(Opt::login_timeout));
  start.write_seconds = static_cast<std::uint32_t>(settings_.number(Opt::write_timeout));
  start.clear_text_allowed = attach.clear_text_allowed;
  start.clear_text_inside_tls = attach.clear_text_inside_tls;
  start.downcase_user = settings_.boolean(Opt::downcase_user) ? 1 : 0;
  start.trim_domain = settings_.boolean(Opt::trim_domain) ? 1 : 0;
  start.shy = settings_.boolean(Opt::shy) ? 1 : 0;
  announce(settings_, start);
  session.phase = Phase::authorization;
  session.client = address;
  session.started_ms = clock_.monotonic_ms();
  not_logged_in_.emplace(session.started_ms, session.pid);
  ++per_block_[address.block];
  ++counters_.connections;
  look_up_name(session);
  auto signer = session.can_tls ? attach_to_signer() : std::nullopt;
  if (signer) start.tls = tls_at_once ? ipc::TlsUse::at_once : ipc::TlsUse::stls;
  if (!signer && offers_tls(settings_)) start.tls = ipc::TlsUse::not_now;
  const std::array<int, 4> fds{client.get(), pair ? pair->first.fd() : -1, profile_.file.get(), signer ? signer->fd() : -1};
  if (tls_at_once && !signer) {
    log::error("session for {}: no certificate can be used", address.text);
    return end_session(session.pid, true);
  }
  if (auto sent = pair ? session.channel.send(start, std::span{fds}.first(signer ? 4U : 2U), false) : base::Status{pair.error()}; !sent) {
    log::error("session for {}: {}", address.text, sent.error().message());
    end_session(session.pid, true);
  }
}

}  // namespace qpop::monitor
