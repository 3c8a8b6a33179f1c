// SPDX-License-Identifier: MIT
// The loop of a session: greeting, commands in the order they come, the end.
// Runs as: popnet, without any right.
#include "popper/session/session.h"

#include <algorithm>

#include "common/base/text.h"
#include "common/ipc/log_sink.h"
#include "common/priv/confine.h"
#include "popper/session/dialogue.h"

namespace qpop::session {

namespace {
constexpr int kGreetingMs = 30'000;
}  // namespace

Dialogue::Dialogue(const ipc::StartSession& start, Client& client, ipc::Channel& monitor, ipc::Channel& authenticator,
                   TlsLink& tls, base::Clock& clock)
    : start_(start),
      client_(client),
      monitor_(monitor),
      authenticator_(authenticator),
      tls_(tls),
      clock_(clock),
      opened_ms_(clock.monotonic_ms()),
      last_command_ms_(opened_ms_) {}

bool Dialogue::greet() {
  const auto frame = authenticator_.receive(kGreetingMs);
  ipc::SessionGreeting greeting;
  if (!frame || !frame->read(greeting)) {
    err("[SYS/TEMP] Authentication is not available, try again later");
    finish(End::failure);
    return false;
  }
  stamp_ = greeting.stamp.view();
  usable_ = greeting.mechanisms;
  if (inside_tls_ && !enter_tls()) return false;
  const auto text = start_.shy != 0 ? std::string{"ready"} : fmt::format("Qpopper (version " QPOP_VERSION ") at {} starting.", start_.server_name.view());
  ok(stamp_.empty() ? text : fmt::format("{}  {}", text, stamp_));
  return true;
}

std::int64_t Dialogue::deadline() const {
  const auto idle_seconds = state_ == State::transaction ? rules_.idle_seconds : start_.idle_seconds;
  const std::int64_t idle = last_command_ms_ + std::int64_t{idle_seconds} * 1000;
  if (state_ != State::authorization) return idle;
  return std::min(idle, opened_ms_ + std::int64_t{start_.login_seconds} * 1000);
}

void Dialogue::finish(End why) {
  state_ = State::done;
  end_ = why;
}

End Dialogue::run() {
  const bool ready = start_.tls != ipc::TlsUse::at_once || begin_tls();
  if (ready && greet()) {
    while (state_ != State::done) {
      const auto event = client_.next(deadline());
      if (event == Client::Event::line) {
        last_command_ms_ = clock_.monotonic_ms();
        handle_line();
        client_.wipe_line();
        if (state_ != State::done) last_command_ms_ = clock_.monotonic_ms();
      } else {
        handle_event(event);
      }
    }
  }
  end_without_quit();
  client_.shut();
  return end_;
}

void Dialogue::handle_event(Client::Event event) {
  switch (event) {
    case Client::Event::line:
      return;
    case Client::Event::too_long:
      log::info("Excessive input from {}: a command line of more than 255 octets", who());
      return err("Command line is longer than 255 octets.");
    case Client::Event::hopeless:
      log::warning("Excessive input from {}: more than 1 MiB without a line end; connection closed", who());
      err("Command line is longer than 255 octets.");
      return finish(End::refused);
    case Client::Event::closed:
      log::info("{}: POP EOF or I/O Error", who());
      return finish(End::closed);
    case Client::Event::timeout:
      // RFC 1939 section 3: no response, no UPDATE.
      log::info("Timeout ({} secs) during nw {} {} {}", (clock_.monotonic_ms() - last_command_ms_) / 1000,
                client_.stalled() ? "write to" : "read from", who(), state_ == State::authorization ? "before login" : "");
      return finish(End::timeout);
    case Client::Event::monitor:
      return handle_monitor();
  }
}

void Dialogue::handle_monitor() {
  const auto frame = monitor_.receive(0);
  ipc::EndSession end;
  if (frame && frame->read(end)) return told_to_end(end);
  finish(End::failure);  // the monitor is gone, or sent something that is not allowed now
}

void Dialogue::told_to_end(const ipc::EndSession& end) {
  const bool kicked = end.by_administrator != 0;
  err(kicked ? "[SYS/TEMP] Session ended by the administrator; no message was removed" : "[SYS/TEMP] Server is shutting down; no message was removed");
  finish(kicked ? End::kicked : End::shutdown);
}

void Dialogue::handle_line() {
  auto command = pop3::parse_command(client_.line());
  trace_command(command);
  if (command.has_nul) return err("Command line holds a NUL octet.");
  if (command.bad_utf8) return err("Command line holds octets that are neither printable ASCII nor UTF-8.");
  expand_macros(command);
  using enum pop3::Verb;
  if (command.verb == quit) return on_quit();
  if (command.verb == capa) return on_capa();
  if (state_ == State::transaction) return dispatch_transaction(command);
  switch (command.verb) {
    case user:
      return on_user(command);
    case pass:
      return on_pass(command);
    case apop:
      return on_apop(command);
    case auth:
      return on_auth(command);
    case stls:
      return on_stls(command);
    case http:
    case unknown:
      return on_unknown(command);
    case stat:
    case list:
    case uidl:
    case retr:
    case top:
    case dele:
    case rset:
    case last:
    case noop:
    case euidl:
    case xtnd:
    case mdef:
    case capa:
    case quit:
      return err("Log in first.");
  }
}

namespace {

// A very large listing is read in pieces, so that the need does not grow with the maildrop; the rest is room for TLS.
constexpr std::uint64_t kAddressSpace = 256UL * 1024 * 1024;

base::Status give_up_rights(const Start& start) {
  const std::array<int, 1> keep{start.monitor.fd()};
  if (auto done = priv::confine({.keep = keep, .empty_root = start.empty_root, .uid = start.uid, .gid = start.gid}); !done) return done;
  priv::Limits limits;
  limits.address_space = kAddressSpace;
  limits.no_new_files = true;
  return priv::wall_in(limits, {}, priv::Calls::session);
}

}  // namespace

int run_session(Start start, TlsLink& tls) {
  const ipc::Channel& monitor = start.monitor;
  ipc::log_to(monitor);
  if (auto done = give_up_rights(start); !done) {
    log::fatal("session: {}", done.error().message());
    return 3;
  }
  base::SystemClock clock;
  auto frame = monitor.receive();
  ipc::StartSession begin;
  if (!frame || !frame->read(begin)) return 0;  // a spare that was never needed
  const bool has_tls = begin.tls == ipc::TlsUse::stls || begin.tls == ipc::TlsUse::at_once;
  if (frame->descriptors.size() != (has_tls ? 4U : 2U)) return 0;
  if (has_tls) tls.take_profile(std::move(frame->descriptors[2]), ipc::Channel{std::move(frame->descriptors[3])});
  ipc::Channel authenticator{std::move(frame->descriptors[1])};
  Client client{std::move(frame->descriptors[0]), monitor.fd(), std::int64_t{begin.write_seconds} * 1000, clock};
  Dialogue dialogue{begin, client, start.monitor, authenticator, tls, clock};
  ipc::SessionEnded ended;
  ended.why = static_cast<ipc::SessionEnd>(dialogue.run());
  ended.retrieved = dialogue.retrieved();
  ended.sent_octets = client.sent_octets();
  (void)monitor.send(ended, {}, false);
  return 0;
}

}  // namespace qpop::session
