// SPDX-License-Identifier: MIT
// From question to answer.
// Runs as: pop, owner of the database.
#include <algorithm>

#include "common/base/text.h"
#include "common/log/log.h"
#include "popper/authenticator/service.h"

namespace qpop::authenticator {

namespace {

constexpr unsigned kMostChecks = 8;  // checker processes at a time; the monitor has a bound of its own
constexpr std::int64_t kMostWaitMs = Penalties::kMostMs;

bool is_unknown(Reason reason) { return reason == Reason::unknown_user || reason == Reason::unacceptable_name; }

}  // namespace

bool Service::begin_cram(Client& client) {
  if (!start_.key.valid() || !start_.ask_database || !allows(ipc::LoginMechanism::cram_md5)) return false;  // not offered
  client.challenge = make_stamp();
  client.step = Step::challenged;
  ipc::CramChallenge challenge;
  challenge.text.set(client.challenge);
  (void)client.channel.send(challenge, {}, false);
  return true;
}

bool Service::begin_scram(Client& client, const ipc::ScramBegin& begin) {
  const bool known = begin.mechanism == ipc::LoginMechanism::scram || begin.mechanism == ipc::LoginMechanism::scram_plus;
  if (!start_.ask_database || !known || !allows(begin.mechanism)) return false;
  client.scram_mechanism = begin.mechanism;
  client.scram = verifier_.begin_scram(begin.user.view());
  client.attempt.user = client.scram.user;
  if (client.scram.verdict.outcome == Outcome::temporary_failure) {
    fail_for_now(client, client.scram.verdict.detail);
    return true;
  }
  if (begin.other_authorization != 0) client.scram.verdict = {Outcome::refused, Reason::other_authorization};
  client.exchange = std::make_unique<sasl::ScramServer>(std::move(client.scram.secret), begin.bare.view(), begin.nonce.view());
  client.step = Step::exchanging;
  ipc::ScramChallenge challenge;
  challenge.text.set(client.exchange->first());
  (void)client.channel.send(challenge, {}, false);
  return true;
}

void Service::enqueue(Client& client) {
  client.step = Step::waiting;
  const auto now = clock_.monotonic_ms();
  queue_.add(client.channel.fd(), client.block, penalties_.knows(subject_of(client), now), now);
}

/// Nothing is looked at before its wait is over; what waits for too long is sent away unseen.
void Service::look_at_next() {
  const auto now = clock_.monotonic_ms();
  while (const auto late = queue_.overdue(now, kMostWaitMs)) {
    queue_.remove(*late);
    Client& client = clients_.at(*late);
    client.attempt = {};
    answer(client, ipc::Verdict::too_many);
  }
  const auto id = queue_.next(now);
  if (!id) return;
  Client& client = clients_.at(*id);
  if (const auto wait = penalties_.admit(subject_of(client), now); wait > 0) return queue_.delay(*id, now + wait);
  queue_.remove(*id);
  client.begun_ms = now;
  check(client);
}

void Service::check(Client& client) {
  const Attempt& attempt = client.attempt;
  switch (attempt.kind) {
    case Attempt::Kind::password: {
      const auto verdict = start_.ask_database ? verifier_.check_password(attempt.user, attempt.password, client.how)
                                               : Verdict{Outcome::refused, Reason::unknown_user};
      // An account of the database is checked there alone: its password would be worth nothing if the system's did as well.
      const bool elsewhere = is_unknown(verdict.reason) || verdict.reason == Reason::no_database;
      if (attempt.other_authorization) return refuse(client, words(Reason::other_authorization));
      if (!elsewhere || !start_.ask_system) return conclude(client, verdict);
      if (!client.how.clear_text_allowed) return refuse(client, words(Reason::clear_text));
      return ask_system(client);
    }
    case Attempt::Kind::apop:
      return conclude(client, verifier_.check_apop(attempt.user, client.stamp, attempt.digest));
    case Attempt::Kind::cram_md5:
      return conclude(client, verifier_.check_cram_md5(attempt.user, client.challenge, attempt.digest));
    case Attempt::Kind::scram:
      return check_scram(client);
    case Attempt::Kind::external:
      return ask_system(client);
  }
}

void Service::check_scram(Client& client) {
  const auto exchange = std::move(client.exchange);
  const auto& proof = client.attempt.proof;
  const auto signature = exchange->finish(proof.without_proof.view(), proof.nonce.view(), proof.proof);
  Verdict verdict = client.scram.verdict;
  if (verdict.outcome == Outcome::accepted && proof.not_bound != 0) verdict = {Outcome::refused, Reason::not_bound};
  if (!signature && (verdict.outcome == Outcome::accepted || verdict.reason == Reason::not_bound)) verdict = {Outcome::refused, Reason::wrong_password};
  if (verdict.outcome != Outcome::accepted) return conclude(client, verdict);
  client.step = Step::proven;
  ipc::ScramSignature message;
  message.text.set(*signature);
  (void)client.channel.send(message, {}, false);
}

void Service::ask_system(Client& client) {
  client.step = Step::checking;
  want_checker_.push_back(client.channel.fd());
  request_checkers();
}

/// Few at a time: each is a process of root's with foreign code in it, and may take its time.
void Service::request_checkers() {
  while (checks_ < kMostChecks && !want_checker_.empty()) {
    Client& client = clients_.at(want_checker_.front());
    want_checker_.pop_front();
    ipc::RequestChecker request;
    request.session = client.session;
    request.certificate = client.attempt.kind == Attempt::Kind::external ? 1 : 0;
    if (start_.monitor.send(request)) {
      ++checks_;
    } else {
      fail_for_now(client, "the monitor cannot be reached");
    }
  }
}

base::Status Service::ask_checker(const Client& client) {
  if (client.attempt.kind == Attempt::Kind::external) {
    // It reads all that a client may send at once; whoever does not is broken.
    if (auto sent = client.checker.send(client.attempt.external, {}, false); !sent) return sent;
    return ipc::send_proof(client.checker, client.attempt.handshake, true);
  }
  ipc::CheckSystemPassword question;
  question.user.set(client.attempt.user);
  question.password.set(client.attempt.password.view());
  auto sent = client.checker.send(question, {}, false);
  base::wipe(std::as_writable_bytes(std::span{&question, 1}));
  return sent;
}

bool Service::begin_external(Client& client) {
  Attempt& attempt = client.attempt;
  if (!client.has_certificate || !start_.take_certificates || !allows(ipc::LoginMechanism::external)) return false;
  if (attempt.external.octets == 0 || attempt.external.octets > ipc::VerifyExternal::kMostOctets) return false;
  attempt.kind = Attempt::Kind::external;
  attempt.mechanism = ipc::LoginMechanism::external;
  attempt.user = attempt.external.user.view();
  attempt.handshake.clear();
  client.step = Step::presenting;
  return true;
}

bool Service::take_proof(Client& client, const ipc::ProofPart& part) {
  Attempt& attempt = client.attempt;
  const auto octets = part.octets.view();
  if (octets.empty() || attempt.handshake.size() + octets.size() > attempt.external.octets) return false;
  attempt.handshake += octets;
  if (attempt.handshake.size() == attempt.external.octets) enqueue(client);
  return true;
}

/// Whose certificate it is has been proved; whether he may log in, the database says.
void Service::on_certificate_verdict(Client& client, const ipc::CertificateVerdict& verdict) {
  if (verdict.accepted == 0) return refuse(client, verdict.reason.view());
  client.attempt.user = verdict.name.view();
  conclude(client, verifier_.check_external(client.attempt.external.authorization.view(), verdict.name.view()));
}

void Service::forget_checker(Client& client) {
  if (!client.checker.valid()) return;
  checkers_.erase(client.checker.fd());
  client.checker.close();
  if (checks_ > 0) --checks_;
  request_checkers();
}

void Service::on_system_verdict(Client& client) {
  auto frame = client.checker.receive(0);
  if (!frame && frame.error().kind() == base::ErrorKind::busy) return;
  forget_checker(client);
  ipc::CertificateVerdict by_certificate;
  if (client.attempt.kind == Attempt::Kind::external) {
    if (!frame || !frame->read(by_certificate)) return fail_for_now(client, "the process that judges its certificate ended without an answer");
    return on_certificate_verdict(client, by_certificate);
  }
  ipc::SystemVerdict verdict;
  if (!frame || !frame->read(verdict)) return fail_for_now(client, "the process that asks the system about it ended without an answer");
  switch (verdict.outcome) {
    case ipc::SystemOutcome::accepted:
      return accept(client);
    case ipc::SystemOutcome::refused:
    case ipc::SystemOutcome::unknown_user:
      return refuse(client, verdict.reason.view());
    case ipc::SystemOutcome::temporary_failure:
      return fail_for_now(client, verdict.reason.view());
  }
  drop(client.channel.fd());
}

void Service::conclude(Client& client, const Verdict& verdict) {
  switch (verdict.outcome) {
    case Outcome::accepted:
      if (!verdict.detail.empty() && may_log_fault()) {
        log::warning("account {}: not upgraded: {}", base::escape_word(client.attempt.user), verdict.detail);
      }
      return accept(client);
    case Outcome::refused:
      return refuse(client, words(verdict.reason));
    case Outcome::temporary_failure:
      return fail_for_now(client, fmt::format("{}{}{}", words(verdict.reason), verdict.detail.empty() ? "" : ": ", verdict.detail));
  }
}

/// The monitor learns it from us, and says whether its rules allow it, before the session does.
void Service::accept(Client& client) {
  client.step = Step::deciding;
  ipc::LoginAccepted accepted;
  accepted.session = client.session;
  accepted.user.set(client.attempt.user);
  accepted.mechanism = client.attempt.mechanism;
  if (!start_.monitor.send(accepted)) fail_for_now(client, "the monitor cannot be reached");
}

void Service::refuse(Client& client, std::string_view reason) {
  ipc::LoginFailed failed;
  failed.session = client.session;
  failed.user.set(client.attempt.user);
  failed.reason.set(reason);
  failed.mechanism = client.attempt.mechanism;
  (void)start_.monitor.send(failed);
  hold_back(client);
}

/// The wait counts from the beginning of the check: how long it took does not show.
void Service::hold_back(Client& client) {
  const auto now = clock_.monotonic_ms();
  const auto delay = penalties_.failed(subject_of(client), client.attempt.password.view(), now);
  client.attempt = {};
  client.answer_at_ms = std::max(now, client.begun_ms + delay);
  client.step = Step::refusing;
}

void Service::fail_for_now(Client& client, std::string_view reason) {
  if (may_log_fault()) log::error("login of {}: {}", base::escape_word(client.attempt.user), reason);
  penalties_.released(subject_of(client), clock_.monotonic_ms());
  client.attempt = {};
  answer(client, ipc::Verdict::temporary_failure);
}

void Service::answer(Client& client, ipc::Verdict verdict) {
  client.attempt = {};
  client.step = Step::idle;
  ipc::VerifyResult result;
  result.verdict = verdict;
  (void)client.channel.send(result, {}, false);
}

void Service::send_due_answers() {
  const auto now = clock_.monotonic_ms();
  for (auto& [fd, client] : clients_) {
    if (client.step == Step::refusing && client.answer_at_ms <= now) answer(client, ipc::Verdict::refused);
  }
}

}  // namespace qpop::authenticator
