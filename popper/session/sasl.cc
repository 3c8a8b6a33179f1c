// SPDX-License-Identifier: MIT
// AUTH: framing, base64 and syntax of SASL messages. Nonce, salt, keys and decision are the authenticator's.
// Runs as: popnet, without any right.
// Source: RFC 5034; see common/sasl for those of the mechanisms.
#include "common/sasl/message.h"

#include "common/base/secret.h"
#include "common/base/text.h"
#include "popper/session/dialogue.h"

namespace qpop::session {

namespace {

constexpr int kMaxExchanges = 10;  // clients that try one mechanism after another need fewer
constexpr int kAnswerMs = 30'000;  // of the authenticator to a question that it answers at once

}  // namespace

/// What the client may use now.
sasl::MechanismSet Dialogue::mechanisms() const {
  auto set = usable_;
  if (!clear_text_allowed()) set &= ~(sasl::bit(sasl::Mechanism::plain) | sasl::bit(sasl::Mechanism::login));
  return set;
}

void Dialogue::on_auth(const pop3::Command& command) {
  if (command.word_count == 0) return list_mechanisms();
  if (command.word_count > 2) return err("Too many arguments for the AUTH command.");
  const auto mechanism = sasl::find_mechanism(command.words[0]);
  if (mechanism && !sasl::has(mechanisms(), *mechanism) && sasl::has(usable_, *mechanism)) return err(clear_text_refusal());
  if (!mechanism || !sasl::has(mechanisms(), *mechanism)) return err("Unknown authentication mechanism.");
  if (++exchanges_ > kMaxExchanges) {
    log::warning("{}: {} AUTH commands; connection closed", who(), exchanges_);
    sign_off();
    return finish(End::refused);
  }
  has_user_ = false;
  run_mechanism(*mechanism, command.word_count == 2 ? std::optional{command.words[1]} : std::nullopt);
  client_.limit_line(pop3::kMaxCommandLine);
}

/// In the words of the original.
void Dialogue::list_mechanisms() {
  client_.put("+OK Supported SASL mechanisms:\r\n");
  if (mechanisms() != 0) client_.put(sasl::list(mechanisms(), "\r\n") + "\r\n");
  client_.put(".\r\n");
}

void Dialogue::run_mechanism(sasl::Mechanism mechanism, std::optional<std::string_view> initial) {
  switch (mechanism) {
    case sasl::Mechanism::plain:
      return auth_plain(initial);
    case sasl::Mechanism::login:
      return auth_login(initial);
    case sasl::Mechanism::cram_md5:
      // The server speaks first, so there is nothing that a client could say before (RFC 5034 section 4).
      if (initial) return err("CRAM-MD5 takes no initial response.");
      return auth_cram_md5();
    case sasl::Mechanism::scram_sha_256:
    case sasl::Mechanism::scram_sha_256_plus:
      return auth_scram(mechanism, initial);
    case sasl::Mechanism::external:
      return auth_external(initial);
  }
}

/// Sends a challenge and waits for the response, or takes the one that came with the command. False: it was answered already.
bool Dialogue::take_response(std::string_view challenge, std::optional<std::string_view> initial, sasl::Message& out) {
  // "=" is an initial response of no octets; on a line of its own it would be no base64.
  if (initial) return *initial == "=" ? (out.clear(), true) : decode_response(*initial, out);
  client_.put("+ " + digest::base64_encode(challenge) + "\r\n");  // the blank stays when the challenge is empty
  client_.limit_line(pop3::kMaxResponseLine);
  const auto event = client_.next(deadline());
  if (event == Client::Event::too_long) {
    log::info("Excessive input from {}: a SASL response of more than {} octets", who(), pop3::kMaxResponseLine);
    say_error("The response is too long.");
    cancel_exchange();
    return false;
  }
  if (event != Client::Event::line) {
    handle_event(event);
    return false;
  }
  last_command_ms_ = clock_.monotonic_ms();
  const bool decoded = decode_response(client_.line(), out);
  client_.wipe_line();
  return decoded;
}

bool Dialogue::decode_response(std::string_view line, sasl::Message& out) {
  if (line == "*") {
    cancel_exchange();
    err("Authentication cancelled.");
    return false;
  }
  if (out.decode(line)) return true;
  cancel_exchange();
  syntax_failed({base::ErrorKind::malformed, "not base64"});
  return false;
}

/// The authenticator forgets what it has begun; harmless when it has not.
void Dialogue::cancel_exchange() {
  if (exchange_begun_) (void)authenticator_.send(ipc::SaslCancel{});
  exchange_begun_ = false;
}

/// Not a wrong password: the client would ask its user for another one.
void Dialogue::syntax_failed(const base::Error& error) {
  say_error("The response does not follow the mechanism's syntax.");
  log::info("{}: -ERR The response does not follow the mechanism's syntax: {}", who(), error.detail());
  count_failure();
}

void Dialogue::auth_plain(std::optional<std::string_view> initial) {
  sasl::Message message;
  if (!take_response("", initial, message)) return;
  const auto plain = sasl::parse_plain(message.view());
  if (!plain) return syntax_failed(plain.error());
  user_ = login_name(plain->user);
  has_user_ = true;
  const bool other = !plain->authorization.empty() && plain->authorization != plain->user;
  verify_password(plain->password, ipc::LoginMechanism::plain, other);
}

void Dialogue::auth_login(std::optional<std::string_view> initial) {
  sasl::Message name;
  if (!take_response("Username:", initial, name)) return;
  if (!sasl::is_name(name.view())) return syntax_failed({base::ErrorKind::malformed, "user name"});
  sasl::Message password;
  if (!take_response("Password:", std::nullopt, password)) return;
  if (password.view().empty() || password.view().size() > sasl::kMaxField) return syntax_failed({base::ErrorKind::malformed, "password"});
  user_ = login_name(name.view());
  has_user_ = true;
  verify_password(password.view(), ipc::LoginMechanism::login);
}

void Dialogue::auth_cram_md5() {
  auto frame = authenticator_.send(ipc::CramBegin{}) ? authenticator_.receive(kAnswerMs) : base::Error{base::ErrorKind::io, "cannot be reached"};
  ipc::CramChallenge challenge;
  if (!frame || !frame->read(challenge)) return authentication_broken(frame ? nullptr : &frame.error());
  exchange_begun_ = true;
  sasl::Message message;
  if (!take_response(challenge.text.view(), std::nullopt, message)) return;
  const auto response = sasl::parse_cram_md5(message.view());
  if (!response) {
    cancel_exchange();
    return syntax_failed(response.error());
  }
  exchange_begun_ = false;
  user_ = login_name(response->user);
  has_user_ = true;
  ipc::VerifyCram request;
  request.user.set(user_);
  ipc::set_digest(request.digest, response->digest);
  conclude_login(authenticator_.send(request));
}

void Dialogue::auth_scram(sasl::Mechanism mechanism, std::optional<std::string_view> initial) {
  sasl::Message first_message;
  if (!take_response("", initial, first_message)) return;
  const auto first = sasl::parse_client_first(first_message.view());
  if (!first) return syntax_failed(first.error());
  if (auto choice = sasl::check_binding_choice(mechanism, first->binding, channel_facts_, mechanisms()); !choice) {
    if (choice.error().kind() == base::ErrorKind::denied) log::warning("{}: {}", who(), choice.error().detail());
    return syntax_failed(choice.error());
  }
  user_ = login_name(first->user);
  has_user_ = true;
  ipc::ScramBegin begin;
  begin.user.set(user_);
  begin.nonce.set(first->nonce);
  begin.bare.set(first->bare);
  begin.mechanism = mechanism == sasl::Mechanism::scram_sha_256_plus ? ipc::LoginMechanism::scram_plus : ipc::LoginMechanism::scram;
  begin.other_authorization = !first->authorization.empty() && first->authorization != first->user ? 1 : 0;
  auto frame = authenticator_.send(begin) ? authenticator_.receive(kAnswerMs) : base::Error{base::ErrorKind::io, "cannot be reached"};
  ipc::ScramChallenge challenge;
  ipc::VerifyResult broken;
  if (frame && frame->read(broken)) return conclude_verdict(broken.verdict);
  if (!frame || !frame->read(challenge)) return authentication_broken(frame ? nullptr : &frame.error());
  exchange_begun_ = true;
  sasl::Message final_message;
  if (!take_response(challenge.text.view(), std::nullopt, final_message)) return;
  scram_final(*first, final_message.view());
}

/// Who holds the key of a certificate is what the client proved in its handshake; the proof is judged elsewhere.
void Dialogue::auth_external(std::optional<std::string_view> initial) {
  sasl::Message message;
  if (!take_response("", initial, message)) return;
  if (!message.view().empty() && !sasl::is_name(message.view())) return syntax_failed({base::ErrorKind::malformed, "authorization name"});
  ipc::VerifyExternal request;
  request.authorization.set(message.view());
  user_ = message.view().empty() ? "(certificate)" : std::string{message.view()};
  has_user_ = true;
  request.user.set(user_);
  const auto proof = client_.tls()->client_proof();
  request.octets = static_cast<std::uint32_t>(proof.size());
  auto sent = authenticator_.send(request);
  if (sent) sent = ipc::send_proof(authenticator_, proof, true);
  conclude_login(sent);
}

void Dialogue::scram_final(const sasl::ClientFirst& first, std::string_view message) {
  const auto last = sasl::parse_client_final(message);
  if (!last || last->nonce.size() > decltype(ipc::ScramFinish::nonce)::kMost) {
    cancel_exchange();
    return syntax_failed(last ? base::Error{base::ErrorKind::malformed, "nonce"} : last.error());
  }
  ipc::ScramFinish request;
  request.without_proof.set(last->without_proof);
  request.nonce.set(last->nonce);
  request.proof = last->proof;
  request.not_bound = sasl::is_bound(first.gs2_header, first.binding, last->channel_input, channel_facts_) ? 0 : 1;
  const auto sent = authenticator_.send(request);
  auto frame = sent ? authenticator_.receive(kVerifyMs) : base::Result<ipc::Frame>{sent.error()};
  ipc::ScramSignature signature;
  ipc::VerifyResult result;
  exchange_begun_ = false;
  if (frame && frame->read(result)) return conclude_verdict(result.verdict);
  if (!frame || !frame->read(signature)) return authentication_broken(frame ? nullptr : &frame.error());
  exchange_begun_ = true;
  // RFC 5034 section 4: what goes with success is a challenge of its own; the client answers with nothing, or gives up because we
  // could not prove that we know its key.
  sasl::Message nothing;
  if (!take_response(signature.text.view(), std::nullopt, nothing)) return;
  if (!nothing.view().empty()) {
    cancel_exchange();
    return syntax_failed({base::ErrorKind::malformed, "an answer to the last message of SCRAM"});
  }
  exchange_begun_ = false;
  conclude_login(authenticator_.send(ipc::SaslDone{}));
}

}  // namespace qpop::session
