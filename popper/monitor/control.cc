// SPDX-License-Identifier: MIT
// Questions to a running server: who is there, who shall go, what was counted.
// Runs as: root, or the user who started the server. On the control socket only they are heard. Whoever connects to metrics-listen is told the counters and
// nothing of what he says is read into anything: his octets are thrown away.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/base/text.h"
#include "common/log/log.h"
#include "popper/monitor/ask_server.h"
#include "popper/monitor/monitor.h"
#include "popper/monitor/unix_address.h"

namespace qpop::monitor {

namespace {

using base::Error;
using base::ErrorKind;
using config::Opt;

constexpr std::size_t kMostAskers = 16;
constexpr std::int64_t kAskerMs = 5000;

base::Result<base::UniqueFd> listen_at(const std::string& path, int type) {
  const auto address = unix_address(path);
  if (!address) return address.error();
  base::UniqueFd fd{::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd.valid()) return Error::from_errno(errno, "socket");
  // One that nobody answers at is left over from a server that was killed; anything else is somebody's.
  if (::connect(fd.get(), address->get(), address->size) == 0) return Error{ErrorKind::busy, "another server listens there"};
  if (errno != ECONNREFUSED && errno != ENOENT) return Error::from_errno(errno, "connect");
  struct stat status {};
  if (errno == ECONNREFUSED && ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) ::unlink(path.c_str());
  fd.reset(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::bind(fd.get(), address->get(), address->size) != 0) return Error::from_errno(errno, "bind");  // the umask is 077
  if (::listen(fd.get(), 8) != 0) return Error::from_errno(errno, "listen");
  return fd;
}

bool is_loopback(const ListenAddress& address) { return address.host.starts_with("127.") || address.host == "::1"; }

}  // namespace

std::string control_path(const config::Settings& settings) { return settings.text(Opt::state_dir) + "/control"; }

base::Status check_metrics_listen(const std::string& text) {
  if (text.empty() || text.starts_with('/')) return {};
  auto address = parse_listen(text);
  if (!address) return address.error();
  if (auto numeric = check_numeric(*address); !numeric) return numeric;
  if (!is_loopback(*address) || address->tls) return Error{ErrorKind::denied, "want a loopback address and a port, as 127.0.0.1:9110, or the path of a socket"};
  return {};
}

void Monitor::open_control() {
  auto control = listen_at(control_path(settings_), SOCK_SEQPACKET);
  if (control) {
    control_ = std::move(*control);
    watch(control_.get(), [this] { on_control_connect(); });
  } else {
    log::warning("{}: {}; popper --who and --kick do not reach this server", control_path(settings_), control.error().message());
  }
  open_metrics_socket();
}

void Monitor::open_metrics_socket() {
  const auto& wanted = settings_.text(Opt::metrics_listen);
  close_metrics_socket();
  if (wanted.empty()) return;
  base::Result<base::UniqueFd> opened{base::UniqueFd{}};
  if (wanted.starts_with('/')) {
    opened = listen_at(wanted, SOCK_STREAM);
  } else if (const auto address = parse_listen(wanted); address) {
    auto several = open_listeners(*address);
    opened = several ? base::Result<base::UniqueFd>{std::move(several->front())} : base::Result<base::UniqueFd>{several.error()};
  }
  if (!opened) return log::error("metrics-listen {}: {}", wanted, opened.error().message());
  metrics_ = std::move(*opened);
  metrics_path_ = wanted.starts_with('/') ? wanted : "";
  watch(metrics_.get(), [this] { on_metrics_connect(); });
}

void Monitor::close_metrics_socket() {
  if (!metrics_.valid()) return;
  unwatch(metrics_.get());
  metrics_.reset();
  if (!metrics_path_.empty()) ::unlink(metrics_path_.c_str());
}

void Monitor::close_control() {
  close_metrics_socket();
  if (!control_.valid()) return;
  unwatch(control_.get());
  control_.reset();
  ::unlink(control_path(settings_).c_str());
}

void Monitor::on_control_connect() {
  base::UniqueFd asker{::accept4(control_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  ucred peer{};
  socklen_t size = sizeof peer;
  if (!asker.valid() || ::getsockopt(asker.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
  if (peer.uid != 0 && peer.uid != ::geteuid()) return log::warning("uid {} may not use the control socket", peer.uid);
  if (administrators_ >= kMostAskers) return;
  ++administrators_;
  const int fd = asker.get();
  askers_[fd] = {std::move(asker), clock_.monotonic_ms() + kAskerMs, true};
  watch(fd, [this, fd] { on_control_request(fd); });
}

void Monitor::on_control_request(int fd) {
  const ipc::Channel channel{std::move(askers_.at(fd).fd)};
  forget_asker(fd);
  const auto frame = channel.receive(0);
  ipc::ControlRequest request;
  if (!frame || !frame->read(request)) return;
  std::string text;
  switch (request.verb) {
    case ipc::ControlVerb::who:
      text = who();
      break;
    case ipc::ControlVerb::kick:
      text = kick(request.user.view());
      break;
    case ipc::ControlVerb::metrics:
      text = open_metrics(counters_, gauges());
      break;
  }
  ipc::ControlText part;
  for (std::string_view rest = text;; rest.remove_prefix(part.text.view().size())) {
    part.text.set(rest.substr(0, decltype(part.text)::kMost));
    if (!channel.send(part, {}, false) || part.text.view().empty()) return;
  }
}

/// One line a session; names and addresses hold nothing that could be taken for something else.
std::string Monitor::who() const {
  std::string text = fmt::format("{:<20} {:<39} {:>8} {:<13} {:>7}\n", "USER", "CLIENT", "SECONDS", "STATE", "PID");
  const auto now = clock_.monotonic_ms();
  for (const auto& [pid, session] : sessions_) {
    if (session.phase == Phase::spare) continue;
    const char* state = session.phase == Phase::authorization ? "authorization" : session.phase == Phase::transaction ? "transaction" : "update";
    text += fmt::format("{:<20} {:<39} {:>8} {:<13} {:>7}\n", session.owner.name.empty() ? "-" : session.owner.name, session.client.text, (now - session.started_ms) / 1000, state, pid);
  }
  return text;
}

/// As at the end of the server: nothing is deleted, and an update that has begun goes on. Empty: nobody of that name is there.
std::string Monitor::kick(std::string_view user) {
  unsigned count = 0;
  for (auto& [pid, session] : sessions_) {
    if (session.phase == Phase::spare || session.owner.name != user) continue;
    session.told_to_end = true;
    (void)session.channel.send(ipc::EndSession{.by_administrator = 1}, {}, false);
    end_open_job(pid);  // the session waits for it, and hears nothing else meanwhile
    ++count;
  }
  log::info("{} session{} of {} ended by the administrator", count, count == 1 ? "" : "s", base::escape_word(user, 80));
  if (count == 0) return {};
  return fmt::format("{} session{} told to end\n", count, count == 1 ? "" : "s");
}

Gauges Monitor::gauges() const {
  Gauges now;
  for (const auto& [pid, session] : sessions_) {
    now.spares += session.phase == Phase::spare ? 1 : 0;
    now.waiting += session.phase == Phase::authorization ? 1 : 0;
    now.transaction += session.phase == Phase::transaction ? 1 : 0;
    now.updating += session.phase == Phase::updating ? 1 : 0;
  }
  constexpr std::int64_t kDayMs = 86'400'000;
  const auto ms = clock_.monotonic_ms();
  now.uptime_s = (ms - started_ms_) / 1000;
  now.has_certificate = profile_.file.valid();
  now.certificate_days = profile_.days_left - static_cast<std::int32_t>((ms - profile_.since_ms) / kDayMs);
  return now;
}

/// The answer to whatever is asked there. HTTP/1.0, so that the end of the connection is the end of the text.
void Monitor::on_metrics_connect() {
  base::UniqueFd asker{::accept4(metrics_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
  if (!asker.valid() && (errno == EMFILE || errno == ENFILE)) pause_accepting("out of descriptors");
  if (!asker.valid() || askers_.size() - administrators_ >= kMostAskers) return;
  const auto text = "HTTP/1.0 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\nConnection: close\r\n\r\n" + open_metrics(counters_, gauges());
  (void)::send(asker.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(asker.get(), SHUT_WR);
  // Closed with octets that nobody took, the connection would be reset, and the answer with it.
  const int fd = asker.get();
  askers_[fd] = {std::move(asker), clock_.monotonic_ms() + kAskerMs, false};
  watch(fd, [this, fd] {
    std::array<char, 4096> thrown_away{};
    const ssize_t got = ::read(fd, thrown_away.data(), thrown_away.size());
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
    forget_asker(fd);
  });
}

void Monitor::end_late_askers(std::int64_t now) {
  std::vector<int> late;
  for (const auto& [fd, asker] : askers_) {
    if (now >= asker.deadline_ms) late.push_back(fd);
  }
  for (const int fd : late) forget_asker(fd);
}

void Monitor::forget_asker(int fd) {
  unwatch(fd);
  const auto found = askers_.find(fd);
  if (found == askers_.end()) return;
  if (found->second.administrator) --administrators_;
  askers_.erase(found);
}

}  // namespace qpop::monitor
