// SPDX-License-Identifier: MIT
// The authenticator at work: sessions that may try to log in, and what has become of their attempts.
// Runs as: pop, owner of the database.
//
// An attempt is queued, waits for its penalty and its turn, is checked, and ends in an answer:
//
//   session: VerifyPassword, VerifyApop, VerifyCram, ScramFinish -> waiting -> checked here, or by a checker process -> (checking)
//     right -> LoginAccepted to the monitor -> (deciding) -> its rules allow it -> the session is told
//     wrong, or refused by the monitor's rules -> (refusing) -> the session is told after a delay
//
// A message that does not fit the state of its session ends the channel: no session of ours sends it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "common/base/secret.h"
#include "common/ipc/messages.h"
#include "common/sasl/scram_server.h"
#include "popper/authenticator/authenticator.h"
#include "popper/authenticator/penalties.h"
#include "popper/authenticator/queue.h"
#include "popper/authenticator/verifier.h"

namespace qpop::authenticator {

enum class Step : std::uint8_t {
  idle,
  challenged,  ///< CRAM-MD5: holds a challenge
  exchanging,  ///< SCRAM: holds nonce and keys
  presenting,  ///< EXTERNAL: parts of the proof are coming in
  proven,      ///< SCRAM: the proof was right; the client has not yet said that it believes us
  waiting,     ///< in the queue
  checking,    ///< a checker process is at work
  deciding,    ///< the monitor applies its rules
  refusing,    ///< the answer is held back
};

/// What was asked; wiped with it.
struct Attempt {
  enum class Kind : std::uint8_t { password, apop, cram_md5, scram, external } kind = Kind::password;
  ipc::LoginMechanism mechanism = ipc::LoginMechanism::password;  ///< of a password or SCRAM: as the session says, for the log
  std::string user;
  base::Secret password;
  std::string digest;
  ipc::ScramFinish proof;
  ipc::VerifyExternal external;
  std::string handshake;  ///< of EXTERNAL
  bool other_authorization = false;
};

/// A session that may try to log in.
struct Client {
  ipc::Channel channel;
  ipc::SessionId session{};
  std::string block;
  Circumstances how;
  bool clear_text_inside_tls = false;
  bool can_bind = false;         ///< channel binding
  bool has_certificate = false;  ///< says the session
  std::string stamp;  ///< of APOP, or the challenge of CRAM-MD5 that was sent last
  std::string challenge;
  Step step = Step::idle;
  Attempt attempt;
  ScramStart scram;
  ipc::LoginMechanism scram_mechanism = ipc::LoginMechanism::scram;
  std::unique_ptr<sasl::ScramServer> exchange;
  ipc::Channel checker;
  std::int64_t begun_ms = 0;      ///< when the check began: work does not show in when the answer comes
  std::int64_t answer_at_ms = 0;  ///< refusing
};

class Service {
 public:
  Service(Start& start, Penalties penalties);
  int run();

 private:
  // service.cc: channels
  void on_monitor();
  void attach(ipc::Frame& frame);
  void on_decision(const ipc::LoginDecision& decision);
  void on_checker_channel(ipc::Frame& frame, const ipc::CheckerChannel& message);
  void on_event(int fd);
  void on_client(int fd, Client& client);
  [[nodiscard]] bool take_question(Client& client, const ipc::Frame& frame);
  void drop(int fd);
  void watch(int fd);
  [[nodiscard]] int wait_ms();
  [[nodiscard]] Client* find(const ipc::SessionId& id);
  [[nodiscard]] ipc::SessionGreeting greeting_of(Client& client);
  bool enter_tls(Client& client, const ipc::InsideTls& message);
  [[nodiscard]] std::string make_stamp();
  [[nodiscard]] bool may_log_fault();
  /// Option sasl-mechanisms; a session of ours asks for nothing else.
  [[nodiscard]] bool allows(ipc::LoginMechanism mechanism) const { return (start_.mechanisms & ipc::bit(mechanism)) != 0; }

  // attempts.cc: from question to answer
  bool begin_cram(Client& client);
  bool begin_scram(Client& client, const ipc::ScramBegin& begin);
  void enqueue(Client& client);
  void look_at_next();
  void check(Client& client);
  void check_scram(Client& client);
  void ask_system(Client& client);
  void request_checkers();
  void forget_checker(Client& client);
  void on_system_verdict(Client& client);
  void on_certificate_verdict(Client& client, const ipc::CertificateVerdict& verdict);
  bool begin_external(Client& client);
  bool take_proof(Client& client, const ipc::ProofPart& part);
  [[nodiscard]] static base::Status ask_checker(const Client& client);
  void conclude(Client& client, const Verdict& verdict);
  void accept(Client& client);
  void refuse(Client& client, std::string_view reason);
  void hold_back(Client& client);
  void fail_for_now(Client& client, std::string_view reason);
  void answer(Client& client, ipc::Verdict verdict);
  void send_due_answers();
  /// A signature cannot be guessed, and the name in front of it is the client's claim: EXTERNAL is counted against the block alone.
  [[nodiscard]] Penalties::Subject subject_of(const Client& client) const {
    return {client.block, client.attempt.kind == Attempt::Kind::external ? std::string_view{} : std::string_view{client.attempt.user}};
  }

  Start& start_;
  base::SystemClock clock_;
  Verifier verifier_;
  Penalties penalties_;
  Queue queue_;
  base::UniqueFd epoll_;
  std::map<int, Client> clients_;
  std::map<int, int> checkers_;  ///< channel of a checker process -> channel of its session
  unsigned checks_ = 0;          ///< asked for or at work
  std::deque<int> want_checker_;  ///< channels of sessions; all checkers are at work
  bool retired_ = false;
  bool monitor_gone_ = false;
  std::optional<std::int64_t> fault_logged_ms_;
};

}  // namespace qpop::authenticator
