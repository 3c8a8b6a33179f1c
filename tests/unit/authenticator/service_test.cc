// SPDX-License-Identifier: MIT
// The authenticator process between a monitor and sessions that the test plays: who is told what first, and what a captured session gets.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "common/authdb/database.h"
#include "common/authdb/key_file.h"
#include "common/digest/digest.h"
#include "common/ipc/messages.h"
#include "common/sasl/mechanism.h"
#include "popper/authenticator/authenticator.h"
#include "tests/unit/db/temporary_folder.h"

namespace {

using namespace qpop;

constexpr int kSoonMs = 10'000;
constexpr int kNeverMs = 300;  // for what must not come

struct Fixture {
  test::TemporaryFolder folder;
  std::string path = folder / "pop.auth";
  ipc::Channel monitor;
  pid_t pid = -1;

  Fixture() {
    BOOST_REQUIRE(authdb::initialise({.path = path, .owner = ::geteuid(), .group = ::getegid(), .iterations = authdb::kMinIterations}));
    const pid_t child = ::fork();
    if (child == 0) ::_exit(add_ada() ? 0 : 1);
    int status = 0;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    BOOST_REQUIRE(status == 0);
  }
  bool add_ada() const {
    auto database = authdb::Database::open(path, ::geteuid(), authdb::Access::read_write);
    if (!database) return false;
    authdb::Account account;
    account.scram = authdb::make_scram(base::Secret{"tanstaaf"}, authdb::kMinIterations);
    account.sealed_apop = *authdb::seal_apop(database->meta(), "ada", base::Secret{"tanstaaf"});
    return database->update("ada", [&](const auto&) -> base::Result<authdb::Account> { return account; }).has_value();
  }
  void start(bool ask_system = false, std::int64_t delay_s = 0, ipc::LoginMechanismSet mechanisms = ipc::kAllMechanisms) {
    auto pair = ipc::Channel::pair();
    BOOST_REQUIRE(pair.has_value());
    pid = ::fork();
    if (pid == 0) {
      authenticator::Start begin;
      begin.database = path;
      begin.key = std::move(*authdb::open_key_file(authdb::key_path_of(path)));
      begin.uid = ::geteuid();
      begin.gid = ::getegid();
      begin.failed_login_delay_s = delay_s;
      begin.server_name = "pop.example.org";
      begin.ask_system = ask_system;
      begin.mechanisms = mechanisms;
      begin.monitor = std::move(pair->second);
      ::_exit(authenticator::run_authenticator(std::move(begin)));
    }
    monitor = std::move(pair->first);
  }
  ~Fixture() {
    monitor.close();  // the authenticator ends with it
    int status = 0;
    if (pid > 0) ::waitpid(pid, &status, 0);
  }

  /// The channel of a session whose greeting was read.
  ipc::Channel session(std::byte number, ipc::SessionGreeting* greeting = nullptr) {
    auto pair = ipc::Channel::pair();
    ipc::AttachSession attach;
    attach.session[0] = number;
    attach.block.set("192.0.2.1");
    attach.clear_text_allowed = 1;
    const std::array<int, 1> end{pair->second.fd()};
    BOOST_REQUIRE(monitor.send(attach, end));
    auto frame = pair->first.receive(kSoonMs);
    ipc::SessionGreeting got;
    BOOST_REQUIRE((frame && frame->read(got)));
    if (greeting != nullptr) *greeting = got;
    return std::move(pair->first);
  }
  /// The next message to the monitor that is no log line.
  template <class T>
  bool told(T& out, int wait_ms = kSoonMs) {
    for (;;) {
      auto frame = monitor.receive(wait_ms);
      ipc::LogLine line;
      if (frame && frame->read(line)) continue;
      return frame && frame->read(out);
    }
  }
  bool nothing_told() {
    ipc::LoginAccepted accepted;
    return !told(accepted, kNeverMs);
  }
  void decide(std::byte number, bool refused) {
    ipc::LoginDecision decision;
    decision.session[0] = number;
    decision.refused = refused ? 1 : 0;
    BOOST_REQUIRE(monitor.send(decision));
  }
};

bool send_password(const ipc::Channel& session, std::string_view user, std::string_view password) {
  ipc::VerifyPassword request;
  request.user.set(user);
  request.password.set(password);
  return session.send(request).has_value();
}

ipc::Verdict verdict_of(const ipc::Channel& session) {
  auto frame = session.receive(kSoonMs);
  ipc::VerifyResult result;
  BOOST_REQUIRE((frame && frame->read(result)));
  return result.verdict;
}

/// The authenticator let go of it.
bool is_closed(const ipc::Channel& session) {
  auto frame = session.receive(kSoonMs);
  return !frame && frame.error().kind() == base::ErrorKind::closed;
}

struct Attack {
  const char* name;
  std::function<void(const ipc::Channel&)> run;
};

BOOST_FIXTURE_TEST_CASE(greeting_names_what_can_be_used, Fixture) {
  start();
  ipc::SessionGreeting greeting;
  auto one = session(std::byte{1}, &greeting);
  BOOST_TEST(greeting.stamp.view().starts_with("<"));
  BOOST_TEST(sasl::list(greeting.mechanisms) == "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN");
}

BOOST_FIXTURE_TEST_CASE(what_the_administrator_does_not_allow_is_neither_offered_nor_taken, Fixture) {
  start(false, 0, ipc::bit(ipc::LoginMechanism::password) | ipc::bit(ipc::LoginMechanism::login));
  ipc::SessionGreeting greeting;
  auto one = session(std::byte{1}, &greeting);
  BOOST_TEST(greeting.stamp.view().empty());
  BOOST_TEST(sasl::list(greeting.mechanisms) == "LOGIN");
  const auto by_password = [](const ipc::Channel& session, ipc::LoginMechanism mechanism) {
    ipc::VerifyPassword request;
    request.user.set("ada");
    request.password.set("tanstaaf");
    request.mechanism = mechanism;
    (void)session.send(request);
  };
  const std::array attacks{
      Attack{"CRAM-MD5", [](const auto& session) { (void)session.send(ipc::CramBegin{}); }},
      Attack{"SCRAM-SHA-256", [](const auto& session) { (void)session.send(ipc::ScramBegin{}); }},
      Attack{"APOP", [](const auto& session) { (void)session.send(ipc::VerifyApop{}); }},
      Attack{"PLAIN", [&](const auto& session) { by_password(session, ipc::LoginMechanism::plain); }},
      Attack{"a password by another mechanism", [&](const auto& session) { by_password(session, ipc::LoginMechanism::scram); }},
      Attack{"a password by no mechanism", [&](const auto& session) { by_password(session, ipc::LoginMechanism{4711}); }},
  };
  for (const auto& attack : attacks) {
    auto other = session(std::byte{7});
    attack.run(other);
    BOOST_TEST(is_closed(other), attack.name);
    BOOST_TEST(nothing_told(), attack.name);
  }
  by_password(one, ipc::LoginMechanism::login);
  ipc::LoginAccepted accepted;
  BOOST_REQUIRE(told(accepted));
  BOOST_TEST((accepted.mechanism == ipc::LoginMechanism::login));
}

BOOST_FIXTURE_TEST_CASE(monitor_knows_and_decides_before_the_session_is_told, Fixture) {
  start();
  auto one = session(std::byte{1});
  BOOST_REQUIRE(send_password(one, "ada", "tanstaaf"));
  ipc::LoginAccepted accepted;
  BOOST_REQUIRE(told(accepted));
  BOOST_TEST(accepted.user.view() == "ada");
  BOOST_TEST((accepted.session[0] == std::byte{1}));
  BOOST_TEST(!one.receive(kNeverMs).has_value(), "not yet");
  decide(std::byte{2}, false);
  BOOST_TEST(!one.receive(kNeverMs).has_value(), "another session's");
  decide(std::byte{1}, false);
  BOOST_TEST((verdict_of(one) == ipc::Verdict::accepted));
}

BOOST_FIXTURE_TEST_CASE(refused_by_a_rule_looks_like_a_wrong_password, Fixture) {
  start(false, 1);
  auto one = session(std::byte{1});
  BOOST_REQUIRE(send_password(one, "ada", "tanstaaf"));
  ipc::LoginAccepted accepted;
  BOOST_REQUIRE(told(accepted));
  decide(std::byte{1}, true);
  BOOST_TEST(!one.receive(500).has_value(), "held back as long as for a wrong one");
  BOOST_TEST((verdict_of(one) == ipc::Verdict::refused));
  BOOST_REQUIRE(send_password(one, "ada", "wrong"));
  ipc::LoginFailed failed;
  BOOST_REQUIRE(told(failed));
  BOOST_TEST(failed.reason.view() == "wrong password");
  BOOST_TEST((verdict_of(one) == ipc::Verdict::refused));
}

/// A client by the book; empty when the session was let go of.
bool prove(const ipc::Channel& session, std::string_view password) {
  ipc::ScramBegin begin;
  begin.user.set("ada");
  begin.nonce.set("abcdefgh");
  begin.bare.set("n=ada,r=abcdefgh");
  BOOST_REQUIRE(session.send(begin));
  auto frame = session.receive(kSoonMs);
  ipc::ScramChallenge challenge;
  if (!frame || !frame->read(challenge)) return false;
  const std::string first{challenge.text.view()};
  const auto nonce = first.substr(2, first.find(",s=") - 2);
  const auto salt_at = first.find(",s=") + 3, end = first.find(",i=");
  const auto salt = digest::base64_decode(first.substr(salt_at, end - salt_at));
  const auto salted = digest::pbkdf2_sha256(password, *salt, static_cast<std::uint32_t>(std::stoul(first.substr(end + 3))));
  auto proof = digest::hmac_sha256(digest::view_of(salted), "Client Key");
  const std::array<std::string_view, 1> parts{digest::view_of(proof)};
  const auto stored = digest::sha256(parts);
  const std::string last = "c=biws,r=" + nonce;
  const auto sign = digest::hmac_sha256(digest::view_of(stored), "n=ada,r=abcdefgh," + first + "," + last);
  for (std::size_t i = 0; i < proof.size(); ++i) proof[i] ^= sign[i];
  ipc::ScramFinish finish;
  finish.without_proof.set(last);
  finish.nonce.set(nonce);
  finish.proof = proof;
  return session.send(finish).has_value();
}

BOOST_FIXTURE_TEST_CASE(scram_logs_in_when_the_client_has_seen_our_proof, Fixture) {
  start();
  auto one = session(std::byte{1});
  BOOST_REQUIRE(prove(one, "tanstaaf"));
  auto frame = one.receive(kSoonMs);
  ipc::ScramSignature signature;
  BOOST_REQUIRE((frame && frame->read(signature)));
  BOOST_TEST(nothing_told(), "the client may still give up");
  BOOST_REQUIRE(one.send(ipc::SaslCancel{}));
  BOOST_TEST(nothing_told());
  BOOST_REQUIRE(prove(one, "tanstaaf"));
  frame = one.receive(kSoonMs);
  BOOST_REQUIRE((frame && frame->read(signature)));
  BOOST_REQUIRE(one.send(ipc::SaslDone{}));
  ipc::LoginAccepted accepted;
  BOOST_REQUIRE(told(accepted));
  decide(std::byte{1}, false);
  BOOST_TEST((verdict_of(one) == ipc::Verdict::accepted));
  BOOST_REQUIRE(prove(one, "wrong"));
  BOOST_TEST((verdict_of(one) == ipc::Verdict::refused));
}

BOOST_FIXTURE_TEST_CASE(captured_session_is_let_go_of_and_logs_in_nobody, Fixture) {
  start();
  const auto begin_scram = [](const ipc::Channel& session) {
    ipc::ScramBegin begin;
    begin.user.set("ada");
    begin.nonce.set("r");
    begin.bare.set("n=ada,r=r");
    (void)session.send(begin);
    (void)session.receive(kSoonMs);
  };
  const std::array attacks{
      Attack{"done before anything", [](const auto& session) { (void)session.send(ipc::SaslDone{}); }},
      Attack{"done before the proof", [&](const auto& session) { begin_scram(session), (void)session.send(ipc::SaslDone{}); }},
      Attack{"a proof without an exchange", [](const auto& session) { (void)session.send(ipc::ScramFinish{}); }},
      Attack{"a digest without a challenge", [](const auto& session) { (void)session.send(ipc::VerifyCram{}); }},
      Attack{"a password in an exchange", [&](const auto& session) { begin_scram(session), (void)send_password(session, "ada", "tanstaaf"); }},
      Attack{"an exchange in an exchange", [&](const auto& session) { begin_scram(session), (void)session.send(ipc::ScramBegin{}); }},
      Attack{"a verdict of the system", [](const auto& session) { (void)session.send(ipc::SystemVerdict{ipc::SystemOutcome::accepted, {}}); }},
      Attack{"a login of its own", [](const auto& session) { (void)session.send(ipc::LoginAccepted{}); }},
      Attack{"the monitor's decision", [](const auto& session) { (void)session.send(ipc::LoginDecision{}); }},
      Attack{"cancel before anything", [](const auto& session) { (void)session.send(ipc::SaslCancel{}); }},
      Attack{"a descriptor", [](const auto& session) { const std::array<int, 1> fd{STDERR_FILENO}; (void)session.send(ipc::CramBegin{}, fd); }},
  };
  for (const auto& attack : attacks) {
    auto one = session(std::byte{7});
    attack.run(one);
    BOOST_TEST(is_closed(one), attack.name);
    BOOST_TEST(nothing_told(), attack.name);
  }
  // Two questions at once: the second is one too many, whatever the first comes to.
  auto one = session(std::byte{8});
  BOOST_REQUIRE(send_password(one, "ada", "tanstaaf"));
  ipc::LoginAccepted accepted;
  BOOST_REQUIRE(told(accepted));
  BOOST_REQUIRE(send_password(one, "ada", "tanstaaf"));
  BOOST_TEST(is_closed(one));
}

BOOST_FIXTURE_TEST_CASE(system_accounts_are_asked_over_a_channel_that_the_monitor_does_not_hear, Fixture) {
  start(true);
  const auto ask = [&](std::byte number, const ipc::Channel& session, bool with_process) {
    BOOST_REQUIRE(send_password(session, "eve", "system password"));
    ipc::RequestChecker request;
    BOOST_REQUIRE(told(request));
    BOOST_TEST((request.session[0] == number));
    auto pair = ipc::Channel::pair();
    ipc::CheckerChannel answer;
    answer.session[0] = number;
    const std::array<int, 1> end{pair->second.fd()};
    BOOST_REQUIRE(monitor.send(answer, std::span{end}.first(with_process ? 1U : 0U)));
    pair->second.close();
    if (!with_process) return ipc::Channel{};
    auto frame = pair->first.receive(kSoonMs);
    ipc::CheckSystemPassword question;
    BOOST_REQUIRE((frame && frame->read(question)));
    BOOST_TEST(question.user.view() == "eve");
    BOOST_TEST(question.password.view() == "system password");
    return std::move(pair->first);
  };
  auto one = session(std::byte{1});
  {
    auto checker = ask(std::byte{1}, one, true);
    BOOST_REQUIRE(checker.send(ipc::SystemVerdict{ipc::SystemOutcome::accepted, {}}));
    ipc::LoginAccepted accepted;
    BOOST_REQUIRE(told(accepted));
    BOOST_TEST(accepted.user.view() == "eve");
    decide(std::byte{1}, false);
    BOOST_TEST((verdict_of(one) == ipc::Verdict::accepted));
  }
  {
    auto checker = ask(std::byte{1}, one, true);
    ipc::SystemVerdict verdict;
    verdict.outcome = ipc::SystemOutcome::refused;
    verdict.reason.set("account expired");
    BOOST_REQUIRE(checker.send(verdict));
    ipc::LoginFailed failed;
    BOOST_REQUIRE(told(failed));
    BOOST_TEST(failed.reason.view() == "account expired");
    BOOST_TEST((verdict_of(one) == ipc::Verdict::refused));
  }
  {
    auto checker = ask(std::byte{1}, one, true);
    checker.close();  // it died
    BOOST_TEST((verdict_of(one) == ipc::Verdict::temporary_failure));
    (void)ask(std::byte{1}, one, false);
    BOOST_TEST((verdict_of(one) == ipc::Verdict::temporary_failure));
  }
  // Eight at a time, whatever is asked; the ninth waits for one to end.
  std::vector<ipc::Channel> sessions, checkers;
  for (unsigned i = 0; i < 8; ++i) {
    sessions.push_back(session(std::byte(10 + i)));
    checkers.push_back(ask(std::byte(10 + i), sessions.back(), true));
  }
  auto ninth = session(std::byte{30});
  BOOST_REQUIRE(send_password(ninth, "eve", "system password"));
  ipc::RequestChecker request;
  BOOST_TEST(!told(request, kNeverMs));
  checkers[3].close();
  BOOST_REQUIRE(told(request));
  BOOST_TEST((request.session[0] == std::byte{30}));
}

BOOST_FIXTURE_TEST_CASE(hanging_up_before_the_system_has_answered_counts_as_wrong, Fixture) {
  start(true, 1);
  for (unsigned i = 1; i <= 3; ++i) {
    auto one = session(std::byte(i));
    BOOST_REQUIRE(send_password(one, "eve", "guess"));
    ipc::RequestChecker request;
    const auto begin = std::chrono::steady_clock::now();
    BOOST_REQUIRE(told(request));
    const auto waited = std::chrono::steady_clock::now() - begin;
    BOOST_TEST((i == 1 || waited > std::chrono::milliseconds{500}), "wait before number " << i);
  }
}

}  // namespace
