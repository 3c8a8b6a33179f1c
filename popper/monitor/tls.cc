// SPDX-License-Identifier: MIT
// TLS as the monitor sees it: which files, which process holds the keys, which profile new sessions get. It reads none of them.
// Runs as: root, or the user who started the server.
//
// A file that changes goes to the signer, which answers with a new profile, or logs why the old one stays. Sessions that have begun keep the
// profile they were given; nobody is disconnected.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "common/base/text.h"
#include "common/log/log.h"
#include "popper/monitor/monitor.h"
#include "popper/monitor/startup.h"

namespace qpop::monitor {

namespace {

using config::Opt;

constexpr int kFirstProfileMs = 20'000;
constexpr std::int64_t kSettleMs = 50;        // a pair of files is exchanged in two steps
constexpr std::int64_t kMostSettleMs = 500;
constexpr std::int64_t kSlowPollMs = 60'000;

}  // namespace

bool asks_for_tls(const config::Settings& settings) {
  const auto& support = settings.text(Opt::tls_support);
  if (support == "stls" || support == "alternate-port") return true;
  return support == "default" && std::ranges::any_of(settings.list(Opt::listen), [](const std::string& text) {
           const auto parsed = parse_listen(text);
           return parsed && parsed->tls;
         });
}

bool offers_tls(const config::Settings& settings) {
  if (asks_for_tls(settings)) return true;
  return settings.text(Opt::tls_support) == "default" && ::access(settings.text(Opt::tls_server_cert_file).c_str(), F_OK) == 0;
}

bool Monitor::speaks_tls_at_once(bool tls_listener) const { return tls_listener || settings_.text(Opt::tls_support) == "alternate-port"; }

/// At start. Errors: TLS was asked for and cannot be had.
base::Status Monitor::prepare_tls() {
  watch_tls_files();
  if (!offers_tls(settings_)) return {};
  if (!spawn_signer()) return base::Error{base::ErrorKind::io, "cannot start the signer"};
  const pid_t pid = newest_signer_;
  const auto deadline = clock_.monotonic_ms() + kFirstProfileMs;
  bool answered = false;
  bool refused = false;
  while (!answered && clock_.monotonic_ms() < deadline) {
    const auto found = signers_.find(pid);
    if (found == signers_.end() || !found->second.channel.valid()) break;
    auto frame = found->second.channel.receive(static_cast<int>(deadline - clock_.monotonic_ms()));
    ipc::ProfileReady ready;
    if (frame && frame->read(ready)) {
      answered = true;
      refused = ready.refused != 0 || ready.usable == 0;
    }
    if (frame || frame.error().kind() != base::ErrorKind::busy) on_signer_frame(found->second, frame);
  }
  if (answered && !refused) return {};
  if (asks_for_tls(settings_)) return base::Error{base::ErrorKind::denied, answered ? "TLS is asked for, and the certificate cannot be used" : "the signer does not answer"};
  log::warning("TLS is not offered until the certificate can be used");
  return {};
}

void Monitor::watch_tls_files() {
  if (single_ || settings_.text(Opt::tls_support) == "none") return;
  std::vector<std::string> paths;
  for (const auto& file : tls_files(settings_)) {
    paths.push_back(file.path);
    if (!file.key_path.empty()) paths.push_back(file.key_path);
  }
  const int before = tls_watch_.fd();
  tls_watch_.watch(std::move(paths));
  tls_look_ms_ = clock_.monotonic_ms() + kSlowPollMs;
  if (before >= 0 || tls_watch_.fd() < 0) return;
  watch(tls_watch_.fd(), [this] {
    tls_watch_.drain();
    const auto now = clock_.monotonic_ms();
    if (tls_first_event_ms_ == 0) tls_first_event_ms_ = now;
    tls_look_ms_ = std::min(now + kSettleMs, tls_first_event_ms_ + kMostSettleMs);
  });
}

/// Milliseconds until something is due.
int Monitor::tls_wait_ms(std::int64_t now) const { return tls_first_event_ms_ == 0 ? 1000 : static_cast<int>(std::clamp<std::int64_t>(tls_look_ms_ - now, 0, 1000)); }

void Monitor::look_at_tls_files(std::int64_t now) {
  if (now < tls_look_ms_ || tls_look_ms_ == 0) return;
  tls_look_ms_ = now + kSlowPollMs;
  tls_first_event_ms_ = 0;
  if (tls_watch_.has_changed()) renew_tls();
}

/// What is served may have to be another certificate.
void Monitor::renew_tls() {
  const auto current = signers_.find(newest_signer_);
  if (current != signers_.end()) return send_tls_files(current->second);
  if (offers_tls(settings_)) spawn_signer();
}

void Monitor::send_tls_files(SignerProcess& signer) {
  const auto files = tls_files(settings_);
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto& file = files[i];
    ipc::PairFile message;
    message.number = static_cast<std::uint32_t>(i);
    message.count = static_cast<std::uint32_t>(files.size());
    message.client_authorities = file.client_authorities ? 1 : 0;
    message.name.set(file.path);
    const bool key_inside = !file.client_authorities && file.key_path.empty();
    auto opened = open_tls_file(file.path, key_inside);
    auto key = opened && !file.key_path.empty() ? open_tls_file(file.key_path, true) : base::Result<base::UniqueFd>{base::UniqueFd{}};
    for (const auto* failed : {opened ? nullptr : &opened.error(), key ? nullptr : &key.error()}) {
      if (failed != nullptr) log::error("TLS: {}{}", failed->message(), profile_.file.valid() ? "; what was read before stays in use" : "");
    }
    std::array<int, 2> fds{opened ? opened->get() : -1, key ? key->get() : -1};
    const std::size_t count = !opened || !key ? 0 : file.key_path.empty() ? 1 : 2;
    if (auto sent = signer.channel.send(message, std::span{fds}.first(count), false); !sent) log::error("signer: {}", sent.error().message());
  }
}

void Monitor::on_signer_message(pid_t pid) {
  const auto found = signers_.find(pid);
  if (found == signers_.end()) return;
  auto frame = found->second.channel.receive(0);
  if (!frame && frame.error().kind() == base::ErrorKind::busy) return;
  on_signer_frame(found->second, frame);
}

void Monitor::on_signer_frame(SignerProcess& signer, base::Result<ipc::Frame>& frame) {
  ipc::LogLine line;
  ipc::ProfileReady ready;
  if (frame && frame->read(line)) return on_log_line(*frame, signer.pid, 1);
  if (frame && frame->read(ready) && frame->descriptors.size() <= 1) return on_profile_ready(signer, ready, *frame);
  unwatch(signer.channel.fd());
  signer.channel.close();
  if (frame || frame.error().kind() == base::ErrorKind::malformed) {
    log::error("signer process {}: message that is not allowed; killed", signer.pid);
    ::kill(signer.pid, SIGKILL);
  }
}

void Monitor::on_profile_ready(SignerProcess& signer, const ipc::ProfileReady& ready, ipc::Frame& frame) {
  if (signer.retired || frame.descriptors.size() != 1) return;  // nothing usable: what is in use stays in use
  const bool first = !profile_.file.valid();
  profile_.file = std::move(frame.descriptors[0]);
  profile_.signer = signer.pid;
  profile_.generation = ready.generation;
  profile_.days_left = ready.days_left;
  profile_.since_ms = clock_.monotonic_ms();
  for (auto& [pid, other] : signers_) {
    if (pid != signer.pid) retire(other);
  }
  if (!first || single_) return;
  // Those that are waiting were started when there was no TLS.
  const std::vector<pid_t> unprepared{spares_.begin(), spares_.end()};
  for (const pid_t pid : unprepared) {
    if (!sessions_.at(pid).can_tls) end_session(pid, true);
  }
}

/// The signer's end of a channel for one session, or nothing when TLS cannot be had.
std::optional<ipc::Channel> Monitor::attach_to_signer() {
  const auto signer = signers_.find(profile_.signer);
  if (!profile_.file.valid() || signer == signers_.end() || !signer->second.channel.valid()) return std::nullopt;
  auto pair = ipc::Channel::pair();
  if (!pair) return std::nullopt;
  ipc::AttachToSigner message;
  message.generation = profile_.generation;
  const std::array<int, 1> end{pair->second.fd()};
  if (auto sent = signer->second.channel.send(message, end, false); !sent) {
    log::error("signer: {}", sent.error().message());
    return std::nullopt;
  }
  return std::move(pair->first);
}

bool Monitor::on_signer_end(pid_t pid, const std::string& how) {
  const auto found = signers_.find(pid);
  if (found == signers_.end()) return false;
  const bool unexpected = !found->second.retired && !stopping_;
  if (found->second.channel.valid()) unwatch(found->second.channel.fd());
  signers_.erase(found);
  if (profile_.signer == pid) profile_ = {};
  if (unexpected && recovery_ == nullptr && !single_) {
    log::error("signer process {} ended: {}; starting another", pid, how);
    signer_again_ms_ = clock_.monotonic_ms() + 1000;
  }
  return true;
}

/// Fresh settings: another signer when they are about it, and the old one goes once the new one has a profile.
void Monitor::reload_tls() {
  watch_tls_files();
  if (offers_tls(settings_)) {
    // One that never came to a profile is of no use to anybody.
    for (auto& [pid, signer] : signers_) {
      if (pid != profile_.signer) retire(signer);
    }
    spawn_signer();
    return;
  }
  profile_ = {};
  for (auto& [pid, signer] : signers_) retire(signer);
}

void Monitor::log_tls_started(const LiveSession& session, const ipc::TlsStarted& started) {
  log::info("(v" QPOP_VERSION ") {} handshake with client at {} ({}); {} session-id; cipher: {}, {} bits", base::escape_word(started.version.view(), 16), session.client.text,
            session.client.text, started.resumed != 0 ? "reused" : "new", base::escape_word(started.cipher.view(), 48), started.bits);
}

}  // namespace qpop::monitor
