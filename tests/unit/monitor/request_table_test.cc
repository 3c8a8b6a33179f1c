// SPDX-License-Identifier: MIT
// A captured role asks for what it must not have: its session ends, the monitor goes on.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

#include "common/ipc/messages.h"
#include "common/log/log.h"
#include "popper/monitor/monitor.h"

namespace {

using namespace qpop;
using Attack = std::function<void(const ipc::Channel&)>;

struct Outcome {
  int exit_code = -1;
  std::string log;
};

/// Runs a monitor for one client in a child, with `attack` in place of the session role, and returns what it logged.
Outcome run_with(const Attack& session, const std::function<int(monitor::AuthenticatorTask)>& authenticator = nullptr,
                 const std::function<int(monitor::MaildropTask)>& maildrop = nullptr) {
  std::array<int, 2> log_pipe{};
  std::array<int, 2> client{};
  BOOST_REQUIRE(::pipe2(log_pipe.data(), O_CLOEXEC) == 0);
  BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client.data()) == 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(log_pipe[1], STDERR_FILENO);
    log::open({"test", 0, false, true});
    monitor::Roles roles;
    roles.session = [&](monitor::SessionTask task) {
      priv::close_all_except(std::array{task.monitor.fd()});
      ipc::StartSession start;
      auto frame = task.monitor.receive(5000);
      if (!frame || !frame->read(start)) return 9;
      session(task.monitor);
      return 0;
    };
    roles.authenticator = authenticator ? authenticator : [](monitor::AuthenticatorTask task) {
      priv::close_all_except(std::array{task.monitor.fd()});
      while (task.monitor.receive()) {
      }
      return 0;
    };
    roles.maildrop = maildrop ? maildrop : [](monitor::MaildropTask) { return 0; };
    monitor::Environment environment;
    environment.mail_user = priv::Account{"own", ::getuid(), ::getgid(), "/"};
    config::Settings settings;
    // A maildrop process is only started for a user whose folder can be made.
    std::string state = maildrop ? "/tmp/qpop.table.XXXXXX" : "/nonexistent";
    if (maildrop && ::mkdtemp(state.data()) == nullptr) ::_exit(99);
    (void)settings.set(config::option(config::Opt::state_dir), state, "test");
    monitor::Monitor monitor{settings, environment, roles, [] { return std::nullopt; }};
    const int code = monitor.serve_one(base::UniqueFd{client[1]});
    if (maildrop) std::filesystem::remove_all(state);
    ::_exit(code);
  }
  ::close(log_pipe[1]);
  ::close(client[1]);
  Outcome outcome;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = ::read(log_pipe[0], buffer.data(), buffer.size())) > 0;) outcome.log.append(buffer.data(), static_cast<std::size_t>(got));
  int status = 0;
  BOOST_REQUIRE(::waitpid(pid, &status, 0) == pid);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  ::close(log_pipe[0]);
  ::close(client[0]);
  return outcome;
}

void linger() { ::sleep(5); }

void expect_killed(const Attack& attack, const char* what) {
  const auto outcome = run_with([&](const ipc::Channel& monitor) {
    attack(monitor);
    linger();  // killed long before
  });
  BOOST_TEST(outcome.exit_code == 0, what);
  BOOST_TEST((outcome.log.find("killed") != std::string::npos), std::string{what} + ": " + outcome.log);
}

BOOST_AUTO_TEST_CASE(requests_out_of_phase_unknown_or_of_a_wrong_size_end_the_session) {
  expect_killed([](const auto& m) { (void)m.send(ipc::RequestUpdate{}); }, "update before login");
  expect_killed([](const auto& m) { (void)m.send(ipc::SessionReport{}); }, "report before update");
  expect_killed([](const auto& m) { (void)m.send(ipc::LoginAccepted{}); }, "a login claimed by the session itself");
  expect_killed([](const auto& m) { (void)m.send(ipc::DotlockRequest{}); }, "a dotlock asked for by the session");
  expect_killed(
      [](const auto& m) {
        const std::array<int, 1> fd{STDERR_FILENO};
        (void)m.send(ipc::LogLine{}, fd);
      },
      "a descriptor nobody asked for");
}

void send_raw(const ipc::Channel& channel, const ipc::MessageHeader& header, std::size_t payload) {
  std::string bytes(sizeof header + payload, 'x');
  std::memcpy(bytes.data(), &header, sizeof header);
  (void)::send(channel.fd(), bytes.data(), bytes.size(), 0);
}

BOOST_AUTO_TEST_CASE(messages_that_are_none_end_the_session) {
  expect_killed([](const auto& m) { send_raw(m, {ipc::kProtocol, 6, 10}, 10); }, "short log line");
  expect_killed([](const auto& m) { send_raw(m, {ipc::kProtocol, 63, 4}, 4); }, "unknown type");
  expect_killed([](const auto& m) { send_raw(m, {ipc::kProtocol, 65535, 4}, 4); }, "type beyond the table");
  expect_killed([](const auto& m) { send_raw(m, {ipc::kProtocol, 6, 4000}, 4000); }, "oversized");
  expect_killed([](const auto& m) { send_raw(m, {1, 6, 4}, 4); }, "another protocol");
}

BOOST_AUTO_TEST_CASE(a_flood_of_log_lines_is_cut_and_escaped) {
  const auto outcome = run_with([](const ipc::Channel& monitor) {
    for (int i = 0; i < 500; ++i) {
      ipc::LogLine line;
      line.text.set("evil\nfatal: forged");
      (void)monitor.send(line);
    }
  });
  std::size_t shown = 0;
  for (std::size_t at = 0; (at = outcome.log.find("evil", at)) != std::string::npos; ++at) ++shown;
  BOOST_TEST(shown <= 60U);
  BOOST_TEST(shown > 0U);
  BOOST_TEST(outcome.log.find("\nfatal: forged") == std::string::npos);
  BOOST_TEST(outcome.log.find("evil\\x0afatal: forged") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_captured_authenticator_cannot_name_a_path_or_a_foreign_session) {
  const auto authenticator = [](monitor::AuthenticatorTask task) {
    priv::close_all_except(std::array{task.monitor.fd()});
    auto frame = task.monitor.receive(5000);
    ipc::AttachSession attach;
    if (!frame || !frame->read(attach)) return 9;
    for (const char* name : {"../../etc/passwd", "", ".hidden", "ada.lock", "-x", "a/b"}) {
      ipc::LoginAccepted accepted;
      accepted.session = attach.session;
      accepted.user.set(name);
      (void)task.monitor.send(accepted);
    }
    ipc::LoginAccepted foreign;
    foreign.session[0] = std::byte{1};
    foreign.user.set("ada");
    (void)task.monitor.send(foreign);
    (void)task.monitor.send(ipc::RequestUpdate{});  // not his to send
    linger();
    return 0;
  };
  const auto outcome = run_with([](const ipc::Channel&) { ::usleep(300'000); }, authenticator);
  BOOST_TEST(outcome.exit_code == 0);
  BOOST_TEST(outcome.log.find("POP login") == std::string::npos, outcome.log);
  BOOST_TEST(outcome.log.find("authenticator process") != std::string::npos, outcome.log);
}

BOOST_AUTO_TEST_CASE(no_process_asks_the_system_where_accounts_exist_in_the_database_alone) {
  const auto authenticator = [](monitor::AuthenticatorTask task) {
    priv::close_all_except(std::array{task.monitor.fd()});
    auto frame = task.monitor.receive(5000);
    ipc::AttachSession attach;
    if (!frame || !frame->read(attach)) return 9;
    for (const bool own : {true, false}) {
      ipc::RequestChecker request;
      if (own) request.session = attach.session;
      (void)task.monitor.send(request);
      frame = task.monitor.receive(5000);
      ipc::CheckerChannel answer;
      ipc::LogLine line;
      line.text.set(!frame || !frame->read(answer) ? "no answer" : frame->descriptors.empty() ? "no process" : "a process");
      (void)task.monitor.send(line);
    }
    linger();
    return 0;
  };
  // The monitor has no code for a checker here: starting one would end in an exception.
  const auto outcome = run_with([](const ipc::Channel&) { ::usleep(500'000); }, authenticator);
  BOOST_TEST(outcome.exit_code == 0);
  const auto first = outcome.log.find("no process");
  BOOST_REQUIRE_MESSAGE(first != std::string::npos, outcome.log);
  BOOST_TEST(outcome.log.find("no process", first + 1) != std::string::npos, outcome.log);
}

/// Logs in at once, so that a maildrop process is started.
int accept_login(monitor::AuthenticatorTask task) {
  priv::close_all_except(std::array{task.monitor.fd()});
  auto frame = task.monitor.receive(5000);
  ipc::AttachSession attach;
  if (!frame || !frame->read(attach)) return 9;
  ipc::LoginAccepted accepted;
  accepted.session = attach.session;
  accepted.user.set("ada");
  (void)task.monitor.send(accepted);
  (void)task.monitor.receive();
  return 0;
}

/// `attack` stands in for the maildrop process that opens the spool.
Outcome run_with_maildrop(const Attack& attack) {
  return run_with([](const ipc::Channel& monitor) { (void)monitor.receive(1000); ::usleep(300'000); }, accept_login, [&](monitor::MaildropTask task) {
    if (task.work != monitor::MaildropWork::open) return 0;
    attack(task.monitor);
    ::usleep(200'000);
    return 0;
  });
}

BOOST_AUTO_TEST_CASE(a_captured_maildrop_process_asks_for_what_its_job_is_not) {
  const std::string refused = "message that is not allowed; killed";
  const std::array<std::pair<const char*, Attack>, 4> attacks{{
      {"the result of a recovery, by a process that opens", [](const auto& m) { (void)m.send(ipc::MaildropRecovered{}); }},
      {"a short result", [](const auto& m) { send_raw(m, {ipc::kProtocol, static_cast<std::uint16_t>(ipc::MessageType::maildrop_recovered), 4}, 4); }},
      {"an update", [](const auto& m) { (void)m.send(ipc::RequestUpdate{}); }},
      {"a type beyond the table", [](const auto& m) { send_raw(m, {ipc::kProtocol, 65535, 4}, 4); }},
  }};
  for (const auto& [what, attack] : attacks) {
    const auto outcome = run_with_maildrop(attack);
    BOOST_TEST(outcome.exit_code == 0, what);
    BOOST_TEST(outcome.log.find(refused) != std::string::npos, std::string{what} + ": " + outcome.log);
  }
  const auto honest = run_with_maildrop([](const ipc::Channel& m) { (void)m.send(ipc::LogLine{}); });
  BOOST_TEST(honest.log.find(refused) == std::string::npos, honest.log);
}

BOOST_AUTO_TEST_CASE(a_handshake_may_be_told_behind_the_login_but_once) {
  // The session sends it before; on a busy machine the monitor reads what the authenticator sent later first.
  const auto outcome_of = [](int times) {
    const auto session = [times](const ipc::Channel& monitor) {
      (void)monitor.receive(1000);  // the channel to the maildrop process: logged in
      for (int i = 0; i < times; ++i) (void)monitor.send(ipc::TlsStarted{});
      ::usleep(100'000);
    };
    return run_with(session, accept_login, [](monitor::MaildropTask) { ::usleep(300'000); return 0; });
  };
  const auto once = outcome_of(1);
  BOOST_TEST(once.log.find("handshake with client") != std::string::npos, once.log);
  BOOST_TEST(once.log.find("not allowed") == std::string::npos, once.log);
  BOOST_TEST(outcome_of(2).log.find("killed") != std::string::npos);
}

}  // namespace
