// SPDX-License-Identifier: MIT
// The authenticator's loop.
// Runs as: pop, owner of the database.
#include "popper/authenticator/authenticator.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <map>
#include <optional>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/digest/digest.h"
#include "common/ipc/log_sink.h"
#include "common/priv/drop.h"
#include "common/priv/sandbox.h"
#include "popper/authenticator/verifier.h"

namespace qpop::authenticator {

namespace {

constexpr int kMaxDelaySteps = 3;
constexpr std::int64_t kDatabaseLogMs = 60'000;  // a missing database is one line a minute, not one a login

/// A session that may try to log in.
struct Client {
  ipc::Channel channel;
  ipc::SessionId session{};
  std::string stamp;
  bool clear_text_allowed = false;
  int failures = 0;
  std::optional<std::int64_t> answer_at_ms;  ///< a refusal is waiting to be sent
};

base::Status give_up_rights(const Start& start) {
  const std::array<int, 2> keep{start.monitor.fd(), start.key.get()};
  priv::close_all_except(keep);
  if (auto done = priv::close_standard_streams(); !done) return done;
  if (auto done = priv::drop_to(start.uid, start.gid); !done) return done;
  if (auto done = priv::harden_process(); !done) return done;
  // LMDB opens the database and its lock file by name, so their folder stays reachable, for this uid's rights only.
  const auto slash = start.database.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : start.database.substr(0, slash);
  const base::UniqueFd fd{::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.valid()) return base::Error::from_errno(errno, "open").at("folder", folder);
  const std::array<int, 1> folders{fd.get()};
  for (auto done : {priv::limit_resources({}), priv::restrict_files_to(folders), priv::restrict_calls_of_file_role()}) {
    if (!done && done.error().kind() != base::ErrorKind::unsupported) return done;
  }
  return {};
}

class Authenticator {
 public:
  explicit Authenticator(Start& start) : start_(start), verifier_(start.database, start.uid) {}
  int run();

 private:
  void on_monitor();
  void attach(ipc::Frame& frame);
  void on_client(int fd);
  void verify(Client& client, std::string_view user, const Verdict& verdict);
  void answer(Client& client, ipc::Verdict verdict);
  void send_due_answers();
  [[nodiscard]] int wait_ms();
  [[nodiscard]] std::string make_stamp();
  [[nodiscard]] bool may_log_database_fault();
  void watch(int fd);

  Start& start_;
  Verifier verifier_;
  base::SystemClock clock_;
  base::UniqueFd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  std::map<int, Client> clients_;
  bool retired_ = false;
  bool monitor_gone_ = false;
  std::optional<std::int64_t> database_logged_ms_;
};

void Authenticator::watch(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

int Authenticator::run() {
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
    for (int i = 0; i < count; ++i) {
      const int fd = events.at(static_cast<std::size_t>(i)).data.fd;
      if (fd == start_.monitor.fd()) {
        on_monitor();
      } else {
        on_client(fd);
      }
    }
    send_due_answers();
  }
  return 0;
}

int Authenticator::wait_ms() {
  std::int64_t next = 60'000;
  const auto now = clock_.monotonic_ms();
  for (const auto& [fd, client] : clients_) {
    if (client.answer_at_ms) next = std::min(next, std::max<std::int64_t>(0, *client.answer_at_ms - now));
  }
  return static_cast<int>(next);
}

void Authenticator::on_monitor() {
  auto frame = start_.monitor.receive(0);
  if (!frame) {
    if (frame.error().kind() != base::ErrorKind::busy) monitor_gone_ = true;
    return;
  }
  ipc::EndSession retire;
  if (frame->read(retire)) {
    retired_ = true;
  } else {
    attach(*frame);
  }
}

void Authenticator::attach(ipc::Frame& frame) {
  ipc::AttachSession message;
  if (!frame.read(message) || frame.descriptors.size() != 1) return;
  const int fd = frame.descriptors[0].get();
  Client& client = clients_[fd];
  client.channel = ipc::Channel{std::move(frame.descriptors[0])};
  client.session = message.session;
  client.clear_text_allowed = message.clear_text_allowed != 0;
  const auto usable = verifier_.has_any_account();
  if (!usable && may_log_database_fault()) log::error("{}", usable.error().message());
  // Clients take a stamp as an invitation to APOP; without a database or its key there is nothing to invite to.
  if (usable && *usable && start_.key.valid()) client.stamp = make_stamp();
  ipc::SessionGreeting greeting;
  greeting.stamp.set(client.stamp);
  (void)client.channel.send(greeting, {}, false);
  watch(fd);
}

bool Authenticator::may_log_database_fault() {
  const auto now = clock_.monotonic_ms();
  if (database_logged_ms_ && now - *database_logged_ms_ < kDatabaseLogMs) return false;
  database_logged_ms_ = now;
  return true;
}

/// RFC 1939 section 7: the stamp has the form of a msg-id and is never the same twice. The original's pid and time stay in front;
/// 128 random bits make it unpredictable.
std::string Authenticator::make_stamp() {
  digest::Digest16 random{};
  digest::random_bytes(random);
  std::string host = start_.server_name;
  for (char& c : host) {
    if (!base::is_alpha(c) && !base::is_digit(c) && c != '.' && c != '-') c = '-';
  }
  return fmt::format("<{}.{}.{}@{}>", ::getpid(), ::time(nullptr), base::to_hex(digest::view_of(random)), host);
}

void Authenticator::on_client(int fd) {
  const auto found = clients_.find(fd);
  if (found == clients_.end()) return;
  Client& client = found->second;
  auto frame = client.channel.receive(0);
  if (!frame && frame.error().kind() == base::ErrorKind::busy) return;
  ipc::VerifyPassword by_password;
  ipc::VerifyApop by_apop;
  // One question at a time: asking again before the answer is no session of ours.
  if (frame && !client.answer_at_ms && frame->read(by_password)) {
    const base::Secret password{by_password.password.view()};
    Verdict verdict = verifier_.check_password(by_password.user.view(), password);
    if (!client.clear_text_allowed && verdict.outcome == Outcome::accepted) verdict = {Outcome::refused, Reason::none, "clear text is not allowed here"};
    verify(client, by_password.user.view(), verdict);
    base::wipe(std::as_writable_bytes(std::span{&by_password, 1}));
  } else if (frame && !client.answer_at_ms && !client.stamp.empty() && frame->read(by_apop)) {
    verify(client, by_apop.user.view(), verifier_.check_apop(by_apop.user.view(), client.stamp, {by_apop.digest.data(), by_apop.digest.size()}));
  } else {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    clients_.erase(found);
  }
}

void Authenticator::verify(Client& client, std::string_view user, const Verdict& verdict) {
  if (verdict.outcome == Outcome::accepted) {
    ipc::LoginAccepted accepted;
    accepted.session = client.session;
    accepted.user.set(user);
    // The monitor learns it from us, before the session does.
    if (!start_.monitor.send(accepted)) return answer(client, ipc::Verdict::temporary_failure);
    return answer(client, ipc::Verdict::accepted);
  }
  if (verdict.outcome == Outcome::temporary_failure) {
    if (may_log_database_fault()) {
      log::error("login of {}: {}{}{}", base::escape_untrusted(user, 80), words(verdict.reason), verdict.detail.empty() ? "" : ": ", verdict.detail);
    }
    return answer(client, ipc::Verdict::temporary_failure);
  }
  ipc::LoginFailed failed;
  failed.session = client.session;
  failed.user.set(user);
  failed.reason.set(verdict.detail.empty() ? words(verdict.reason) : std::string_view{verdict.detail});
  (void)start_.monitor.send(failed);
  const int step = std::min(client.failures++, kMaxDelaySteps);
  client.answer_at_ms = clock_.monotonic_ms() + (start_.failed_login_delay_s * 1000 << step);
}

void Authenticator::answer(Client& client, ipc::Verdict verdict) {
  ipc::VerifyResult result;
  result.verdict = verdict;
  (void)client.channel.send(result, {}, false);
}

void Authenticator::send_due_answers() {
  const auto now = clock_.monotonic_ms();
  for (auto& [fd, client] : clients_) {
    if (!client.answer_at_ms || *client.answer_at_ms > now) continue;
    client.answer_at_ms.reset();
    answer(client, ipc::Verdict::refused);
  }
}

}  // namespace

int run_authenticator(Start start) {
  ipc::log_to(start.monitor);
  if (auto done = give_up_rights(start); !done) {
    log::fatal("authenticator: {}", done.error().message());
    return 3;
  }
  Authenticator authenticator{start};
  return authenticator.run();
}

}  // namespace qpop::authenticator
