// SPDX-License-Identifier: MIT
// Numbers of all messages between the roles, and who sends which to whom:
//
//   monitor -> session        StartSession (client socket, authenticator channel; with TLS also profile, signer channel), MaildropChannel,
//                             UpdateChannel, LoginRefused, EndSession
//   session -> monitor        LogLine, TlsStarted, RequestUpdate, SessionReport, SessionEnded
//   monitor -> signer         PairFile (certificate file, key file), AttachToSigner (channel), EndSession
//   signer -> monitor         LogLine, ProfileReady (profile)
//   session -> signer         SignDigest, StoreTlsSession, FindTlsSession
//   signer -> session         DigestSigned, TlsSessionFound
//   monitor -> authenticator  AttachSession (channel), LoginDecision, CheckerChannel (channel), EndSession
//   authenticator -> monitor  LogLine, LoginAccepted, LoginFailed, RequestChecker
//   authenticator -> session  SessionGreeting, VerifyResult, CramChallenge, ScramChallenge, ScramSignature
//   session -> authenticator  InsideTls, VerifyExternal, ProofPart, VerifyPassword, VerifyApop, CramBegin, VerifyCram, ScramBegin, ScramFinish, SaslDone, SaslCancel
//   authenticator -> checker  CheckSystemPassword, or VerifyExternal and ProofPart
//   checker -> authenticator  SystemVerdict, or CertificateVerdict
//   monitor -> session        SubmitChannel   session -> monitor  RequestSubmit
//   session -> program        SubmitPart, SubmitEnd   program -> session  SubmitDone   program -> monitor  LogLine
//   resolver -> monitor       LogLine, ClientName
//   maildrop -> monitor       LogLine, DotlockRequest, MaildropRecovered, UserSettings
//   monitor -> maildrop       StartMaildrop (channel), DotlockReply
//   maildrop -> session       MaildropOpened (session lock, listing, spool), MaildropFailed, UpdateDone
//   session -> maildrop       UpdateBegin (session lock, listing), UpdatePart
//   maildrop -> scan          ScanPart   scan -> maildrop  PartScanned (records)
#pragma once

#include <cstdint>

namespace qpop::ipc {

enum class MessageType : std::uint16_t {
  start_session = 1,
  maildrop_channel,
  update_channel,
  login_refused,
  end_session,
  log_line,
  request_update,
  session_report,
  attach_session,
  login_accepted,
  login_failed,
  session_greeting,
  verify_result,
  verify_password,
  verify_apop,
  dotlock_request,
  dotlock_reply,
  maildrop_opened,
  maildrop_failed,
  update_committed,
  update_done,
  update_begin,
  update_part,
  maildrop_recovered,
  login_decision,
  request_checker,
  checker_channel,
  start_checker,
  cram_begin,
  cram_challenge,
  verify_cram,
  scram_begin,
  scram_challenge,
  scram_finish,
  scram_signature,
  sasl_done,
  sasl_cancel,
  check_system_password,
  system_verdict,
  pair_file,
  profile_ready,
  attach_to_signer,
  sign_digest,
  digest_signed,
  store_tls_session,
  find_tls_session,
  tls_session_found,
  tls_started,
  inside_tls,
  verify_external,
  proof_part,
  certificate_verdict,
  session_ended,
  control_request,
  control_text,
  user_settings,
  request_submit,
  submit_channel,
  submit_part,
  submit_end,
  submit_done,
  client_name,
  scan_part,
  part_scanned,
  start_maildrop,
};

}  // namespace qpop::ipc
