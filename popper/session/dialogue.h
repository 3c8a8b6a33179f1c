// SPDX-License-Identifier: MIT
// State of one POP3 session and the handlers of its commands; the loop stands in session.cc.
// Runs as: popnet, without any right.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/ipc/messages.h"
#include "common/log/log.h"
#include "common/pop3/command.h"
#include "common/sasl/message.h"
#include "common/sasl/scram.h"
#include "popper/session/client.h"
#include "popper/session/maildrop_view.h"
#include "popper/session/tls_link.h"

namespace qpop::session {

/// RFC 1939 section 3; `done`: the connection is to be closed.
enum class State : std::uint8_t { authorization, transaction, done };

// A penalty (60 s), a PAM module (30 s) and a delayed refusal may take their time; longer than this something is broken.
inline constexpr int kVerifyMs = 180'000;

/// Why a session ended; in the order of ipc::SessionEnd.
enum class End : std::uint8_t { quit, closed, timeout, refused, shutdown, kicked, failure };
static_assert(static_cast<unsigned>(End::failure) == static_cast<unsigned>(ipc::SessionEnd::failure));

class Dialogue {
 public:
  Dialogue(const ipc::StartSession& start, Client& client, ipc::Channel& monitor, ipc::Channel& authenticator, TlsLink& tls, base::Clock& clock);

  /// From greeting to the end. Returns why it ended.
  End run();
  /// Messages that were sent whole.
  [[nodiscard]] std::uint32_t retrieved() const { return retrieved_; }

 private:
  // session.cc: the loop
  bool greet();
  void handle_line();
  void handle_event(Client::Event event);
  void handle_monitor();
  void told_to_end(const ipc::EndSession& end);
  [[nodiscard]] std::int64_t deadline() const;
  void finish(End why);

  // replies.cc: answers and log lines
  void ok(std::string_view text);
  void err(std::string_view text);
  void say_error(std::string_view text);
  void sign_off();
  void give_up_maildrop();
  [[nodiscard]] std::string who() const;

  // authorization.cc
  void on_user(const pop3::Command& command);
  void on_pass(const pop3::Command& command);
  void on_apop(const pop3::Command& command);
  void on_capa();
  void on_unknown(const pop3::Command& command);
  [[nodiscard]] std::string login_name(std::string_view given) const;
  [[nodiscard]] std::string_view clear_text_refusal() const;
  void verify_password(std::string_view password, ipc::LoginMechanism mechanism, bool other_authorization = false);
  void conclude_login(const base::Status& sent);
  void conclude_verdict(ipc::Verdict verdict);
  void authentication_broken(const base::Error* error);
  void login_failed();
  void count_failure();
  void open_maildrop();
  void take_maildrop(const ipc::Channel& maildrop);
  void refuse_login(ipc::MaildropFailure failure);

  // tls.cc
  void on_stls(const pop3::Command& command);
  bool begin_tls();
  void handshake_failed(Client::Event event);
  bool enter_tls();
  [[nodiscard]] bool clear_text_allowed() const;

  // sasl.cc
  void on_auth(const pop3::Command& command);
  void list_mechanisms();
  void run_mechanism(sasl::Mechanism mechanism, std::optional<std::string_view> initial);
  void auth_plain(std::optional<std::string_view> initial);
  void auth_login(std::optional<std::string_view> initial);
  void auth_cram_md5();
  void auth_scram(sasl::Mechanism mechanism, std::optional<std::string_view> initial);
  void auth_external(std::optional<std::string_view> initial);
  void scram_final(const sasl::ClientFirst& first, std::string_view message);
  bool take_response(std::string_view challenge, std::optional<std::string_view> initial, sasl::Message& out);
  bool decode_response(std::string_view line, sasl::Message& out);
  void syntax_failed(const base::Error& error);
  void cancel_exchange();
  [[nodiscard]] sasl::MechanismSet mechanisms() const;

  // transaction.cc
  void dispatch_transaction(const pop3::Command& command);
  void on_stat();
  void on_list(const pop3::Command& command);
  void on_uidl(const pop3::Command& command);
  void on_retr(const pop3::Command& command);
  void on_top(const pop3::Command& command);
  void on_dele(const pop3::Command& command);
  void on_rset();
  void send_listing(bool unique_ids);
  void send_message(std::uint32_t index, std::uint64_t body_lines, bool whole);
  /// Index of the message that the first word names; answers -ERR and returns nothing when there is none.
  std::optional<std::uint32_t> wanted_message(const pop3::Command& command);
  void storage_error(const base::Error& error);

  // compat.cc: what only clients of the original ask for
  [[nodiscard]] std::string announcements() const;
  bool refuse_no_mime(std::string_view name);
  [[nodiscard]] static bool asks_to_mangle(const pop3::Command& command);
  void expand_macros(pop3::Command& command) const;
  void on_mdef(const pop3::Command& command);
  void on_euidl(const pop3::Command& command);
  void on_xtnd(const pop3::Command& command);
  void on_xlst(const pop3::Command& command);
  void on_last();
  void send_header_lines(std::optional<std::uint32_t> only, std::string_view answer,
                         const std::function<std::string(std::uint32_t, std::string_view)>& line);
  [[nodiscard]] base::Result<std::string> read_header(std::uint32_t index);
  [[nodiscard]] base::Status mark_retrieved();
  void end_without_quit();
  void trace(std::string_view direction, std::string_view text) const;
  void trace_command(const pop3::Command& command) const;

  // xmit.cc
  void on_xmit();

  // update.cc
  void on_quit();
  void update();
  [[nodiscard]] ipc::SessionReport make_report() const;
  [[nodiscard]] bool send_update(const ipc::Channel& maildrop);
  bool send_bits(const ipc::Channel& maildrop, const std::vector<std::uint8_t>& bits);
  void conclude_update(const ipc::Channel& maildrop);

  const ipc::StartSession& start_;
  Client& client_;
  ipc::Channel& monitor_;
  ipc::Channel& authenticator_;
  TlsLink& tls_;
  base::Clock& clock_;
  State state_ = State::authorization;
  End end_ = End::quit;
  std::int64_t opened_ms_;
  std::int64_t last_command_ms_;
  std::string stamp_;  ///< APOP; empty: not offered
  std::string user_;   ///< as the client gave it
  bool has_user_ = false;
  int failures_ = 0;
  std::uint32_t retrieved_ = 0;
  int unknown_commands_ = 0;
  int exchanges_ = 0;  ///< SASL exchanges begun
  bool exchange_begun_ = false;  ///< the authenticator holds a challenge for us
  sasl::MechanismSet usable_ = 0;
  bool inside_tls_ = false;
  sasl::ChannelFacts channel_facts_;  ///< of TLS; empty as long as there is none
  std::optional<MaildropView> maildrop_;
  ipc::MaildropOpened rules_;  ///< the options that hold for this user; once the maildrop is open
  std::vector<std::pair<std::string, std::string>> macros_;
  bool status_forgotten_ = false;  ///< RSET: what the spool says was read does not count for LAST any more
  bool quiet_ = false;             ///< the client is not to be answered
};

}  // namespace qpop::session
