// SPDX-License-Identifier: MIT
// Channels of the signer.
// Runs as: tls-user, without files.
#include "popper/signer/service.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include "common/base/io.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/tls/key.h"
#include "common/tls/profile.h"
#include "common/tls/remote_key.h"
#include "common/tls/server.h"
#include "popper/signer/file_text.h"

namespace qpop::signer {

namespace {

using base::Error;
using base::ErrorKind;

constexpr std::uint32_t kMostFiles = 100;
constexpr std::size_t kKeptGenerations = 16;  // the monitor may hand out one while the next is being made
constexpr unsigned kMostSignatures = 2;       // a handshake needs one; the other is for a retry of the library
constexpr unsigned kMostSessions = 8;
constexpr std::int64_t kDayMs = 86'400'000;

/// Nobody who is given it can change it for the others.
base::Result<base::UniqueFd> sealed(std::string_view octets) {
  auto fd = base::make_memory_file("tls-profile");
  if (!fd) return fd;
  if (auto written = base::write_whole(fd->get(), octets); !written) return written.error();
  if (::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) return Error::from_errno(errno, "seal");
  return fd;
}

std::int64_t now_seconds() { return ::time(nullptr); }

}  // namespace

Service::Service(Start& start) : start_(start), epoll_(::epoll_create1(EPOLL_CLOEXEC)), warned_ms_(clock_.monotonic_ms()) {}

void Service::watch(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

int Service::wait_ms() { return static_cast<int>(std::clamp<std::int64_t>(warned_ms_ + kDayMs - clock_.monotonic_ms(), 0, 3'600'000)); }

int Service::run() {
  if (auto fine = tls::check_ciphers(start_.ciphers); !fine) {
    log::error("TLS: {}", fine.error().message());
    ciphers_refused_ = true;
  }
  watch(start_.monitor.fd());
  while (!monitor_gone_ && !(retired_ && clients_.empty())) {
    std::array<epoll_event, 32> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms());
    if (count < 0 && errno != EINTR) return 4;
    for (int i = 0; i < count; ++i) {
      const int fd = events.at(static_cast<std::size_t>(i)).data.fd;
      fd == start_.monitor.fd() ? on_monitor() : on_client(fd);
    }
    if (clock_.monotonic_ms() >= warned_ms_ + kDayMs) warn_daily();
  }
  return 0;
}

void Service::warn_daily() {
  warned_ms_ = clock_.monotonic_ms();
  for (const auto& slot : slots_) {
    const auto text = slot.pair ? daily_warning(*slot.pair, now_seconds()) : std::string{};
    if (!text.empty()) log::warning("TLS: {}: {}", slot.name, text);
  }
}

void Service::on_monitor() {
  auto frame = start_.monitor.receive(0);
  if (!frame) {
    if (frame.error().kind() != ErrorKind::busy) monitor_gone_ = true;
    return;
  }
  ipc::EndSession retire;
  ipc::PairFile file;
  ipc::AttachToSigner attached;
  if (frame->read(retire)) {
    retired_ = true;
  } else if (frame->read(file)) {
    on_pair_file(file, *frame);
  } else if (frame->read(attached)) {
    attach(attached, *frame);
  }
}

void Service::on_pair_file(const ipc::PairFile& message, ipc::Frame& frame) {
  if (message.count == 0 || message.count > kMostFiles || message.number >= message.count) return;
  slots_.resize(message.count);
  read_slot(slots_.at(message.number), message, frame);
  if (message.number + 1 == message.count) make_profile();
}

void Service::read_slot(Slot& slot, const ipc::PairFile& message, ipc::Frame& frame) {
  slot.name = base::escape_untrusted(message.name.view(), 400);
  slot.refused = true;  // until it is seen to be fine
  if (frame.descriptors.empty()) return;  // the monitor has said why
  const bool in_use = slot.pair || !slot.authorities.empty();
  const auto refuse = [&](const Error& error) {
    log::error("TLS: {}: {}{}", slot.name, error.message(), in_use ? "; what was read before stays in use" : "");
  };
  auto first = FileText::read(frame.descriptors[0].get());
  if (!first) return refuse(first.error());
  if (message.client_authorities != 0) {
    auto authorities = read_authorities((*first)->view());
    if (!authorities) return refuse(authorities.error());
    slot.authorities = std::move(*authorities);
    slot.refused = false;
    return;
  }
  auto second = frame.descriptors.size() > 1 ? FileText::read(frame.descriptors[1].get()) : std::make_unique<FileText>();
  if (!second) return refuse(second.error());
  auto pair = read_pair((*first)->view(), (*second)->view(), frame.descriptors.size() > 1, now_seconds());
  if (!pair) return refuse(pair.error());
  const bool same = slot.pair && slot.pair->chain == pair->chain && tls::same_public_key(*slot.pair->key, *pair->key);
  slot.pair = std::move(*pair);
  slot.refused = false;
  if (same) return;
  log::info("TLS: {}: {}, {}", slot.name, in_use ? "exchanged" : "in use", describe(*slot.pair, now_seconds()));
  if (const auto text = daily_warning(*slot.pair, now_seconds()); !text.empty()) log::warning("TLS: {}: {}", slot.name, text);
}

void Service::make_profile() {
  tls::Profile profile;
  profile.ciphers = start_.ciphers;
  profile.only_1_2 = start_.only_1_2;
  profile.only_1_3 = start_.only_1_3;
  auto generation = std::make_shared<Generation>();
  generation->number = next_generation_++;
  ipc::ProfileReady ready;
  ready.generation = generation->number;
  ready.days_left = INT32_MAX;
  for (auto& slot : slots_) {
    if (slot.refused || ciphers_refused_) ++ready.refused;
    for (const auto& authority : slot.authorities) profile.client_authorities.push_back(authority.share());
    if (!slot.pair || ciphers_refused_) continue;
    ++ready.usable;
    ready.days_left = std::min(ready.days_left, static_cast<std::int32_t>(tls::days_left(slot.pair->chain.front(), now_seconds())));
    tls::Identity identity{static_cast<std::uint32_t>(generation->keys.size()), {}};
    for (const auto& certificate : slot.pair->chain) identity.chain.push_back(certificate.share());
    profile.identities.push_back(std::move(identity));
    generation->keys.push_back(slot.pair->key);
  }
  base::UniqueFd file;
  if (ready.usable != 0) {
    auto made = sealed(tls::encode(profile));
    if (!made) {
      log::error("TLS: {}", made.error().at("hand over certificates").message());
      return;
    }
    file = std::move(*made);
    generations_.push_back(std::move(generation));
    if (generations_.size() > kKeptGenerations) generations_.erase(generations_.begin());
  }
  const std::array<int, 1> fds{file.get()};
  (void)start_.monitor.send(ready, std::span{fds}.first(file.valid() ? 1U : 0U));
}

void Service::attach(const ipc::AttachToSigner& message, ipc::Frame& frame) {
  if (frame.descriptors.size() != 1) return;
  const auto found = std::ranges::find_if(generations_, [&](const auto& generation) { return generation->number == message.generation; });
  if (found == generations_.end()) return;  // its channel closes, and with it the session's hope
  const int fd = frame.descriptors[0].get();
  clients_[fd] = Client{ipc::Channel{std::move(frame.descriptors[0])}, *found};
  watch(fd);
}

void Service::on_client(int fd) {
  const auto found = clients_.find(fd);
  if (found == clients_.end()) return;
  auto frame = found->second.channel.receive(0);
  if (!frame && frame.error().kind() == ErrorKind::busy) return;
  if (frame && frame->descriptors.empty() && answer(found->second, *frame)) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  clients_.erase(found);
}

/// False: no session of ours asks for this, or for so much.
bool Service::answer(Client& client, const ipc::Frame& frame) {
  ipc::SignDigest request;
  ipc::StoreTlsSession store;
  ipc::FindTlsSession find;
  if (frame.read(request)) return ++client.signatures <= kMostSignatures && sign(client, request);
  if (frame.read(store)) {
    if (++client.stored > kMostSessions) return false;
    sessions_.store(store.id.view(), store.session.view(), clock_.monotonic_ms());
    return true;
  }
  if (!frame.read(find) || ++client.looked_up > kMostSessions) return false;
  auto session = sessions_.find(find.id.view(), find.once != 0, clock_.monotonic_ms());
  ipc::TlsSessionFound found;
  found.session.set(session);
  base::wipe(session.data(), session.size());
  const bool sent = client.channel.send(found, {}, false).has_value();
  base::wipe(std::as_writable_bytes(std::span{&found, 1}));
  return sent;
}

bool Service::sign(const Client& client, const ipc::SignDigest& request) {
  ipc::DigestSigned reply;
  tls::SignRequest wanted;
  wanted.key = request.key;
  wanted.scheme = static_cast<tls::Scheme>(request.scheme);
  wanted.digest = static_cast<tls::SignedDigest>(request.digest);
  wanted.octets = request.octets.view();
  if (request.key < client.generation->keys.size()) {
    if (auto signature = tls::sign_digest(*client.generation->keys[request.key], wanted)) reply.signature.set(*signature);
  }
  return client.channel.send(reply, {}, false).has_value();
}

}  // namespace qpop::signer
