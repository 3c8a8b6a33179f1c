// SPDX-License-Identifier: MIT
// AUTHORIZATION state: USER, PASS, APOP, CAPA (AUTH: sasl.cc), and the way from a good login to an open maildrop.
// Runs as: popnet, without any right.
// Source: RFC 1939 sections 4 and 7, RFC 2449, RFC 3206 (extended response codes).
#include <algorithm>

#include "common/base/secret.h"
#include "common/base/text.h"
#include "popper/session/dialogue.h"

namespace qpop::session {

namespace {

constexpr int kMaxFailures = 3;
constexpr int kMaxUnknown = 4;  // a client of another protocol does not get to try for long
// Longer than the longest mail-lock-timeout; the maildrop process ends long before, and with it its channel.
constexpr int kOpenMs = 900'000;

}  // namespace

/// Options downcase-user and trim-domain, in the order of the original.
std::string Dialogue::login_name(std::string_view given) const {
  std::string name{given};
  if (start_.downcase_user != 0) std::ranges::transform(name, name.begin(), base::to_lower);
  // A name that begins with "@" has nothing in front of a domain; it stays, and is nobody's.
  if (const auto at = name.find('@'); start_.trim_domain != 0 && at != std::string::npos && at > 0) name.resize(at);
  return name;
}

std::string_view Dialogue::clear_text_refusal() const {
  if (start_.clear_text_inside_tls != 0 && !inside_tls_) return "[AUTH] You must use TLS/SSL or stronger authentication such as APOP to connect to this server";
  return "[AUTH] You must use stronger authentication such as APOP to connect to this server";
}

void Dialogue::on_user(const pop3::Command& command) {
  if (!clear_text_allowed()) return err(clear_text_refusal());
  if (command.word_count == 0) return err("Too few arguments for the USER command.");
  if (command.word_count > 1) return err("Too many arguments for the USER command.");
  if (refuse_no_mime(command.words[0])) return;
  user_ = login_name(command.words[0]);
  has_user_ = true;
  ok(fmt::format("Password required for {}.", user_));
}

void Dialogue::on_pass(const pop3::Command& command) {
  if (!has_user_) return err("Send USER before PASS.");
  verify_password(command.argument, ipc::LoginMechanism::password);
}

void Dialogue::verify_password(std::string_view password, ipc::LoginMechanism mechanism, bool other_authorization) {
  ipc::VerifyPassword request;
  request.user.set(user_);
  request.password.set(password);
  request.mechanism = mechanism;
  request.other_authorization = other_authorization ? 1 : 0;
  const auto sent = authenticator_.send(request);
  base::wipe(std::as_writable_bytes(std::span{&request, 1}));
  client_.wipe_line();
  conclude_login(sent);
}

void Dialogue::on_apop(const pop3::Command& command) {
  if (stamp_.empty()) return err("APOP is not offered by this server.");
  if (command.word_count < 2) return err("Too few arguments for the APOP command.");
  if (command.word_count > 2) return err("Too many arguments for the APOP command.");
  if (refuse_no_mime(command.words[0])) return;
  ipc::VerifyApop request;
  user_ = login_name(command.words[0]);
  has_user_ = true;
  request.user.set(user_);
  ipc::set_digest(request.digest, command.words[1]);
  conclude_login(authenticator_.send(request));
}

void Dialogue::authentication_broken(const base::Error* error) {
  if (error != nullptr) log::error("{}: authenticator: {}", who(), error->message());
  err("[SYS/TEMP] Authentication is not available, try again later");
  finish(End::failure);
}

void Dialogue::conclude_login(const base::Status& sent) {
  auto frame = sent ? authenticator_.receive(kVerifyMs) : base::Result<ipc::Frame>{sent.error()};
  ipc::VerifyResult result;
  if (!frame || !frame->read(result)) return authentication_broken(frame ? nullptr : &frame.error());
  conclude_verdict(result.verdict);
}

void Dialogue::conclude_verdict(ipc::Verdict verdict) {
  switch (verdict) {
    case ipc::Verdict::accepted:
      return open_maildrop();
    case ipc::Verdict::refused:
      return login_failed();
    case ipc::Verdict::temporary_failure:
      // Not the client's fault: it must not ask its user for another password (RFC 3206 section 4).
      err("[SYS/TEMP] POP authentication DB not available, try again later");
      return count_failure();
    case ipc::Verdict::too_many:
      err("[SYS/TEMP] Too many failed logins from your address, try again later");
      return count_failure();
  }
}

void Dialogue::login_failed() {
  // The same words for an unknown user, a wrong password, a disabled account and a rule of the administrator. The monitor logs it:
  // one event, one line.
  say_error(fmt::format("[AUTH] Password supplied for \"{}\" is incorrect.", user_));
  count_failure();
}

/// RFC 1939 lets the connection stay open after a failure; not for ever.
void Dialogue::count_failure() {
  has_user_ = false;
  if (++failures_ >= kMaxFailures) {
    sign_off();
    finish(End::refused);
  }
}

void Dialogue::open_maildrop() {
  for (;;) {
    auto frame = monitor_.receive(kOpenMs);
    ipc::MaildropChannel given;
    ipc::LoginRefused refused;
    ipc::EndSession end;
    if (frame && frame->read(given) && frame->descriptors.size() == 1) {
      user_ = given.user.view();  // a certificate may have said who it is
      return take_maildrop(ipc::Channel{std::move(frame->descriptors[0])});
    }
    if (frame && frame->read(refused)) {
      return refuse_login(ipc::MaildropFailure::temporary);
    }
    if (frame && frame->read(end)) return told_to_end(end);
    return finish(End::failure);
  }
}

void Dialogue::take_maildrop(const ipc::Channel& maildrop) {
  auto frame = maildrop.receive(kOpenMs);
  ipc::MaildropOpened opened;
  ipc::MaildropFailed failed;
  if (frame && frame->read(failed)) return refuse_login(failed.failure);
  const auto descriptors = [&] { return 2U + (opened.has_spool != 0 ? 1U : 0U) + (opened.has_hidden != 0 ? 1U : 0U); };
  const bool whole = frame && frame->read(opened) && frame->descriptors.size() == descriptors();
  // Whose session is to end loses its maildrop process first.
  if (!frame) {
    const auto word = monitor_.receive(0);
    if (ipc::EndSession end; word && word->read(end)) return told_to_end(end);
  }
  if (!whole) return refuse_login(ipc::MaildropFailure::temporary);
  auto view = MaildropView::open(std::move(frame->descriptors[0]), std::move(frame->descriptors[1]),
                                 opened.has_spool != 0 ? std::move(frame->descriptors[2]) : base::UniqueFd{});
  // The maildrop process holds the session lock until it is gone; waiting for its end keeps a quick reconnect from meeting it.
  (void)maildrop.receive(kOpenMs);
  if (const auto hidden = view && opened.has_hidden != 0 ? view->hide(frame->descriptors.back().get()) : base::Status{}; !hidden) view = hidden.error();
  if (!view) {
    log::error("{}: {}", who(), view.error().at("scan listing").message());
    return refuse_login(ipc::MaildropFailure::temporary);
  }
  rules_ = opened;
  if (rules_.hidden_first != 0) view->hide_first();
  maildrop_.emplace(std::move(*view));
  client_.while_waiting([this] {
    if (maildrop_) maildrop_->read_ahead();
  });
  authenticator_.close();
  tls_.close();
  state_ = State::transaction;
  const auto count = maildrop_->count();
  ok(fmt::format("{} has {} visible message{} ({} hidden) in {} octets.", user_, count, count == 1 ? "" : "s", maildrop_->hidden_count(),
                 maildrop_->left_octets()));
}

/// The password was right, the maildrop cannot be had: never an empty maildrop, always -ERR with the code that says whose fault it is.
void Dialogue::refuse_login(ipc::MaildropFailure failure) {
  switch (failure) {
    case ipc::MaildropFailure::in_use:
      err("[IN-USE] Maildrop lock busy!  Is another session active?");
      break;
    case ipc::MaildropFailure::permanent:
      err("[SYS/PERM] The maildrop cannot be used; contact your administrator");
      break;
    case ipc::MaildropFailure::unreadable:
      err("[SYS/PERM] Unable to process From lines (envelopes), change recognition modes or check for corrupted mail drop.");
      break;
    case ipc::MaildropFailure::too_early:
      // RFC 2449 section 8.1.1.
      err("[LOGIN-DELAY] Minimum time between logins has not passed, try again later");
      break;
    case ipc::MaildropFailure::temporary:
    case ipc::MaildropFailure::changed:
    case ipc::MaildropFailure::no_space:
    case ipc::MaildropFailure::locked:
      err("[SYS/TEMP] The maildrop cannot be opened now, try again later");
      break;
  }
  sign_off();
  finish(End::failure);
}

void Dialogue::on_capa() {
  std::string text = "+OK Capability list follows\r\nTOP\r\n";
  const bool logged_in = state_ == State::transaction;
  if (clear_text_allowed()) text += "USER\r\n";
  if (start_.tls == ipc::TlsUse::stls && !inside_tls_ && !logged_in) text += "STLS\r\n";
  if (mechanisms() != 0) text += "SASL " + sasl::list(mechanisms()) + "\r\n";
  text += "UIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n" + announcements();
  if (start_.shy == 0 || logged_in) text += "IMPLEMENTATION Qpopper-version-" QPOP_VERSION "\r\n";
  client_.put(text + ".\r\n");
}

void Dialogue::on_unknown(const pop3::Command& command) {
  // What was sent is never echoed: an answer must not be usable as something else by another protocol.
  if (command.verb == pop3::Verb::http) {
    log::warning("{}: the client speaks HTTP; connection closed", who());
    return finish(End::refused);
  }
  err("Unknown command.");
  if (state_ == State::authorization && ++unknown_commands_ >= kMaxUnknown) {
    log::warning("{}: {} unknown commands before login; connection closed", who(), unknown_commands_);
    sign_off();
    finish(End::refused);
  }
}

}  // namespace qpop::session
