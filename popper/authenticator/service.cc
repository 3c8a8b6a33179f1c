// SPDX-License-Identifier: MIT
// Channels of the authenticator: who asks, and what may be asked when.
// Runs as: pop, owner of the database.
#include "popper/authenticator/service.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include "common/base/text.h"
#include "common/digest/digest.h"
#include "common/log/log.h"
#include "common/sasl/mechanism.h"

namespace qpop::authenticator {

namespace {

constexpr std::int64_t kFaultLogMs = 60'000;  // a missing database is one line a minute, not one a login

bool is_by_password(ipc::LoginMechanism mechanism) {
  using enum ipc::LoginMechanism;
  return mechanism == password || mechanism == plain || mechanism == login;
}

}  // namespace

Service::Service(Start& start, Penalties penalties)
    : start_(start),
      verifier_(start.database, start.uid, clock_),
      penalties_(std::move(penalties)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

void Service::watch(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

int Service::run() {
  if (start_.key.valid()) {
    if (auto loaded = verifier_.load_key(start_.key.get()); !loaded) {
      log::error("{}; APOP is not offered", loaded.error().message());
      start_.key.reset();
    }
  }
  watch(start_.monitor.fd());
  while (!monitor_gone_ && !(retired_ && clients_.empty())) {
    std::array<epoll_event, 32> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms());
    if (count < 0 && errno != EINTR) return 4;
    for (int i = 0; i < count; ++i) on_event(events.at(static_cast<std::size_t>(i)).data.fd);
    // One password at a time: in between, whoever came meanwhile gets into the queue.
    look_at_next();
    send_due_answers();
  }
  return 0;
}

int Service::wait_ms() {
  const auto now = clock_.monotonic_ms();
  std::int64_t next = now + 60'000;
  if (const auto wake = queue_.wake_ms(Penalties::kMostMs)) next = std::min(next, *wake);
  for (const auto& [fd, client] : clients_) {
    if (client.step == Step::refusing) next = std::min(next, client.answer_at_ms);
  }
  return static_cast<int>(std::max<std::int64_t>(0, next - now));
}

void Service::on_event(int fd) {
  if (fd == start_.monitor.fd()) return on_monitor();
  if (const auto checker = checkers_.find(fd); checker != checkers_.end()) return on_system_verdict(clients_.at(checker->second));
  if (const auto client = clients_.find(fd); client != clients_.end()) on_client(fd, client->second);
}

void Service::on_monitor() {
  auto frame = start_.monitor.receive(0);
  if (!frame) {
    if (frame.error().kind() != base::ErrorKind::busy) monitor_gone_ = true;
    return;
  }
  ipc::EndSession retire;
  ipc::LoginDecision decision;
  ipc::CheckerChannel checker;
  if (frame->read(retire)) {
    retired_ = true;
  } else if (frame->read(decision)) {
    on_decision(decision);
  } else if (frame->read(checker)) {
    on_checker_channel(*frame, checker);
  } else {
    attach(*frame);
  }
}

Client* Service::find(const ipc::SessionId& id) {
  const auto found = std::ranges::find_if(clients_, [&](const auto& entry) { return entry.second.session == id; });
  return found == clients_.end() ? nullptr : &found->second;
}

void Service::on_decision(const ipc::LoginDecision& decision) {
  Client* client = find(decision.session);
  if (client == nullptr || client->step != Step::deciding) return;
  if (decision.refused != 0) return hold_back(*client);  // the monitor has said why
  penalties_.succeeded(subject_of(*client), clock_.monotonic_ms());
  answer(*client, ipc::Verdict::accepted);
}

void Service::on_checker_channel(ipc::Frame& frame, const ipc::CheckerChannel& message) {
  Client* client = find(message.session);
  if (client == nullptr || client->step != Step::checking || client->checker.valid()) {
    // The session has gone meanwhile; so will the process, once we let go of its channel.
    if (checks_ > 0) --checks_;
    return request_checkers();
  }
  if (frame.descriptors.size() != 1) {
    if (checks_ > 0) --checks_;
    fail_for_now(*client, "system accounts cannot be asked: no process for it");
    return request_checkers();
  }
  client->checker = ipc::Channel{std::move(frame.descriptors[0])};
  const auto sent = ask_checker(*client);
  checkers_[client->checker.fd()] = client->channel.fd();
  watch(client->checker.fd());
  if (!sent) on_system_verdict(*client);
}

void Service::attach(ipc::Frame& frame) {
  ipc::AttachSession message;
  if (!frame.read(message) || frame.descriptors.size() != 1) return;
  const int fd = frame.descriptors[0].get();
  Client& client = clients_[fd];
  client.channel = ipc::Channel{std::move(frame.descriptors[0])};
  client.session = message.session;
  client.block = message.block.view();
  client.how = {message.clear_text_allowed != 0, message.clear_text_not_with_apop != 0, false};
  client.clear_text_inside_tls = message.clear_text_inside_tls != 0;
  (void)client.channel.send(greeting_of(client), {}, false);
  watch(fd);
}

/// What can be used now: clients take a stamp as an invitation to APOP, and a mechanism in the list as a promise.
ipc::SessionGreeting Service::greeting_of(Client& client) {
  ipc::SessionGreeting greeting;
  using ipc::LoginMechanism;
  const auto offer = [&](LoginMechanism how, sasl::Mechanism mechanism) {
    if (allows(how)) greeting.mechanisms |= sasl::bit(mechanism);
  };
  offer(LoginMechanism::plain, sasl::Mechanism::plain);
  offer(LoginMechanism::login, sasl::Mechanism::login);
  if (start_.ask_database) {
    const auto usable = verifier_.has_any_account();
    const bool can_do_without = start_.ask_system && !usable && usable.error().kind() == base::ErrorKind::not_found;
    if (!usable && !can_do_without && may_log_fault()) log::error("{}", usable.error().message());
    const bool accounts = usable && *usable;
    if (accounts) offer(LoginMechanism::scram, sasl::Mechanism::scram_sha_256);
    if (accounts && client.has_certificate && start_.take_certificates) offer(LoginMechanism::external, sasl::Mechanism::external);
    if (accounts && client.can_bind && start_.bind_channels) offer(LoginMechanism::scram_plus, sasl::Mechanism::scram_sha_256_plus);
    const bool wanted = allows(LoginMechanism::apop) || allows(LoginMechanism::cram_md5);
    const auto apop = accounts && wanted && start_.key.valid() ? verifier_.has_any_apop() : base::Result<bool>{false};
    if (apop && *apop) {
      offer(LoginMechanism::cram_md5, sasl::Mechanism::cram_md5);
      if (allows(LoginMechanism::apop) && client.stamp.empty()) client.stamp = make_stamp();  // once: it stands in the greeting
    }
  }
  greeting.stamp.set(client.stamp);
  return greeting;
}

/// Nothing that was begun outside counts any more (RFC 2595 section 4); the stamp is ours and stays.
bool Service::enter_tls(Client& client, const ipc::InsideTls& message) {
  if (client.how.inside_tls) return false;
  client.how.inside_tls = true;
  client.how.clear_text_allowed = client.how.clear_text_allowed || client.clear_text_inside_tls;
  client.can_bind = message.can_bind != 0;
  client.has_certificate = message.has_certificate != 0;
  return client.channel.send(greeting_of(client), {}, false).has_value();
}

bool Service::may_log_fault() {
  const auto now = clock_.monotonic_ms();
  if (fault_logged_ms_ && now - *fault_logged_ms_ < kFaultLogMs) return false;
  fault_logged_ms_ = now;
  return true;
}

/// RFC 1939 section 7: the stamp has the form of a msg-id and is never the same twice; so it is for CRAM-MD5 (RFC 2195 section 2). The
/// original's pid and time stay in front; 128 random bits make it unpredictable.
std::string Service::make_stamp() {
  digest::Digest16 random{};
  digest::random_bytes(random);
  std::string host = start_.server_name;
  for (char& c : host) {
    if (!base::is_alpha(c) && !base::is_digit(c) && c != '.' && c != '-') c = '-';
  }
  return fmt::format("<{}.{}.{}@{}>", ::getpid(), ::time(nullptr), base::to_hex(digest::view_of(random)), host);
}

void Service::drop(int fd) {
  const auto found = clients_.find(fd);
  if (found == clients_.end()) return;
  Client& client = found->second;
  queue_.remove(fd);
  std::erase(want_checker_, fd);
  // Who hangs up before the system has answered counts as wrong, or it would be a way to guess for nothing. A checker that was asked
  // for and has not come yet is taken off the count when it comes.
  if (client.step == Step::checking) (void)penalties_.failed(subject_of(client), client.attempt.password.view(), clock_.monotonic_ms());
  forget_checker(client);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  clients_.erase(found);
}

void Service::on_client(int fd, Client& client) {
  auto frame = client.channel.receive(0);
  if (!frame && frame.error().kind() == base::ErrorKind::busy) return;
  if (!frame || !frame->descriptors.empty() || !take_question(client, *frame)) drop(fd);
}

/// False: this session is no session of ours.
bool Service::take_question(Client& client, const ipc::Frame& frame) {
  using enum Step;
  Attempt& attempt = client.attempt;
  ipc::VerifyPassword by_password;
  ipc::VerifyApop by_apop;
  ipc::VerifyCram by_cram;
  ipc::ScramBegin scram;
  if (client.step == idle && frame.read(by_password)) {
    if (!is_by_password(by_password.mechanism) || !allows(by_password.mechanism)) return false;
    attempt.kind = Attempt::Kind::password;
    attempt.mechanism = by_password.mechanism;
    attempt.user = by_password.user.view();
    attempt.password.assign(by_password.password.view());
    attempt.other_authorization = by_password.other_authorization != 0;
    base::wipe(std::as_writable_bytes(std::span{&by_password, 1}));
  } else if (client.step == idle && !client.stamp.empty() && frame.read(by_apop)) {
    attempt.kind = Attempt::Kind::apop;
    attempt.mechanism = ipc::LoginMechanism::apop;
    attempt.user = by_apop.user.view();
    attempt.digest.assign(by_apop.digest.data(), by_apop.digest.size());
  } else if (client.step == challenged && frame.read(by_cram)) {
    attempt.kind = Attempt::Kind::cram_md5;
    attempt.mechanism = ipc::LoginMechanism::cram_md5;
    attempt.user = by_cram.user.view();
    attempt.digest.assign(by_cram.digest.data(), by_cram.digest.size());
  } else if (client.step == exchanging && frame.read(attempt.proof)) {
    attempt.kind = Attempt::Kind::scram;
    attempt.mechanism = client.scram_mechanism;
    attempt.user = client.scram.user;
  } else if (client.step == idle && frame.read(attempt.external)) {
    return begin_external(client);
  } else if (ipc::ProofPart part; client.step == presenting && frame.read(part)) {
    return take_proof(client, part);
  } else if (ipc::InsideTls inside; client.step == idle && frame.read(inside)) {
    return enter_tls(client, inside);
  } else if (ipc::CramBegin begin; client.step == idle && frame.read(begin)) {
    return begin_cram(client);
  } else if (client.step == idle && frame.read(scram)) {
    return begin_scram(client, scram);
  } else if (ipc::SaslDone done; client.step == proven && frame.read(done)) {
    accept(client);
    return true;
  } else if (ipc::SaslCancel cancel; (client.step == challenged || client.step == exchanging || client.step == proven) && frame.read(cancel)) {
    client.exchange.reset();
    client.step = idle;
    return true;
  } else {
    return false;
  }
  enqueue(client);
  return true;
}

}  // namespace qpop::authenticator
