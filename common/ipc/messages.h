// SPDX-License-Identifier: MIT
// All messages between the roles; who sends which to whom stands in message_type.h.
//
// Plain structs in host order: both ends are the same program, forked without exec.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/ipc/channel.h"
#include "common/ipc/message_type.h"

namespace qpop::ipc {

/// 128 random bits made by the monitor: a session proves who it is by holding the channel, never by this number.
using SessionId = std::array<std::byte, 16>;

/// As user names are on the wire: at most what fits a command line of 255 octets.
using UserName = FixedText<255>;

/// none: there is no TLS here. stls: when the client asks for it. at_once: before the greeting. not_now: when the client asks it is told to try
/// later, because no certificate can be used.
enum class TlsUse : std::uint8_t { none, stls, at_once, not_now };

struct StartSession {
  static constexpr auto kType = MessageType::start_session;
  FixedText<64> client;  ///< numeric address, for log lines
  FixedText<255> server_name;
  std::uint32_t idle_seconds = 0;
  std::uint32_t login_seconds = 0;
  std::uint32_t write_seconds = 0;
  std::uint8_t clear_text_allowed = 0;
  std::uint8_t clear_text_inside_tls = 0;  ///< when it is not: TLS would help
  std::uint8_t shy = 0;
  std::uint8_t downcase_user = 0;
  std::uint8_t trim_domain = 0;
  std::uint8_t debug = 0;
  std::uint8_t per_user = 0;  ///< option files of users are read: what is announced may differ for them
  TlsUse tls = TlsUse::none;
  std::uint32_t login_delay_s = 0;
  std::int32_t expire_days = -1;  ///< -1: never
  std::int32_t utc_offset_s = 0;
};

struct MaildropChannel {
  static constexpr auto kType = MessageType::maildrop_channel;
  UserName user;  ///< as the monitor knows it
};

struct UpdateChannel {
  static constexpr auto kType = MessageType::update_channel;
  std::uint32_t reserved = 0;
};

/// A login that the authenticator accepted, or an update, goes no further: a fault of ours, worth another try later. What the rules
/// forbid the monitor tells the authenticator (LoginDecision), which answers like a wrong password.
struct LoginRefused {
  static constexpr auto kType = MessageType::login_refused;
  std::uint32_t reserved = 0;
};

struct EndSession {
  static constexpr auto kType = MessageType::end_session;
  std::uint32_t by_administrator = 0;  ///< this session alone; else the server ends, or the configuration was read again
};

struct LogLine {
  static constexpr auto kType = MessageType::log_line;
  std::uint32_t severity = 0;  ///< log::Severity
  FixedText<1000> text;
};

struct RequestUpdate {
  static constexpr auto kType = MessageType::request_update;
  std::uint32_t reserved = 0;
};

struct SessionReport {
  static constexpr auto kType = MessageType::session_report;
  std::uint64_t deleted_octets = 0;
  std::uint64_t left_octets = 0;
  std::uint32_t deleted = 0;
  std::uint32_t left = 0;
};

/// In the order of the names in popper/monitor/metrics.h.
enum class SessionEnd : std::uint32_t { quit, closed, timeout, refused, shutdown, kicked, failure };

/// The last word of every session.
struct SessionEnded {
  static constexpr auto kType = MessageType::session_ended;
  std::uint64_t sent_octets = 0;  ///< without TLS
  std::uint32_t retrieved = 0;    ///< messages sent whole
  SessionEnd why = SessionEnd::failure;
};

/// How somebody logs in, or tries to; in the order of kMechanisms in popper/monitor/mechanisms.h. password: USER and PASS.
enum class LoginMechanism : std::uint32_t { password, apop, cram_md5, scram, external, plain, login, scram_plus };

/// Bits that mean nothing are ignored.
using LoginMechanismSet = std::uint32_t;
[[nodiscard]] constexpr LoginMechanismSet bit(LoginMechanism mechanism) { return 1U << static_cast<unsigned>(mechanism); }
inline constexpr LoginMechanismSet kAllMechanisms = 2 * bit(LoginMechanism::scram_plus) - 1;

struct AttachSession {
  static constexpr auto kType = MessageType::attach_session;
  SessionId session{};
  FixedText<64> block;  ///< address block of the client; what penalties are counted by
  std::uint8_t clear_text_allowed = 0;
  std::uint8_t clear_text_not_with_apop = 0;  ///< clear-text-password = local: who has an APOP secret must use it
  std::uint8_t clear_text_inside_tls = 0;     ///< allowed once the session says InsideTls
  std::array<std::uint8_t, 3> reserved{};
};

struct LoginAccepted {
  static constexpr auto kType = MessageType::login_accepted;
  SessionId session{};
  UserName user;
  LoginMechanism mechanism = LoginMechanism::password;
};

struct LoginFailed {
  static constexpr auto kType = MessageType::login_failed;
  SessionId session{};
  UserName user;
  FixedText<120> reason;  ///< for the log
  LoginMechanism mechanism = LoginMechanism::password;
};

/// The monitor's answer to LoginAccepted. `refused`: by a rule of the administrator, which the monitor logs; the client must not be
/// able to tell it from a wrong password.
struct LoginDecision {
  static constexpr auto kType = MessageType::login_decision;
  SessionId session{};
  std::uint32_t refused = 0;
};

/// A process that may ask the system about one password, or judge one certificate, is wanted for this session.
struct RequestChecker {
  static constexpr auto kType = MessageType::request_checker;
  SessionId session{};
  std::uint32_t certificate = 0;
};

/// With one end of a pair that leads to that process; without it when none could be started.
struct CheckerChannel {
  static constexpr auto kType = MessageType::checker_channel;
  SessionId session{};
};

/// Monitor to the process that forks checkers, with one end of a pair whose other end the authenticator gets.
struct StartChecker {
  static constexpr auto kType = MessageType::start_checker;
  FixedText<64> client;  ///< numeric address
};

struct SessionGreeting {
  static constexpr auto kType = MessageType::session_greeting;
  FixedText<320> stamp;  ///< APOP time stamp with its angle brackets; empty when APOP cannot be used
  std::uint16_t reserved = 0;
  std::uint32_t mechanisms = 0;  ///< sasl::MechanismSet that can be used now
};

/// too_many: nothing was looked at, because too many logins of this address block failed.
enum class Verdict : std::uint32_t { accepted, refused, temporary_failure, too_many };

struct VerifyResult {
  static constexpr auto kType = MessageType::verify_result;
  Verdict verdict = Verdict::refused;
};

struct VerifyPassword {
  static constexpr auto kType = MessageType::verify_password;
  UserName user;
  FixedText<255> password;
  LoginMechanism mechanism = LoginMechanism::password;  ///< password, plain or login
  std::uint8_t other_authorization = 0;                 ///< the client wants to act as somebody else, which nobody may
};

struct VerifyApop {
  static constexpr auto kType = MessageType::verify_apop;
  UserName user;
  std::array<char, 32> digest{};
};

/// A digest of another length cannot be right; it goes the way of any wrong one.
inline void set_digest(std::array<char, 32>& out, std::string_view digest) {
  for (std::size_t i = 0; i < out.size(); ++i) out.at(i) = digest.size() == out.size() ? digest[i] : '-';
}

struct CramBegin {
  static constexpr auto kType = MessageType::cram_begin;
  std::uint32_t reserved = 0;
};

struct CramChallenge {
  static constexpr auto kType = MessageType::cram_challenge;
  FixedText<320> text;
};

struct VerifyCram {
  static constexpr auto kType = MessageType::verify_cram;
  UserName user;
  std::array<char, 32> digest{};
};

/// The first message of a SCRAM client in pieces; `bare` is hashed as it is, never read.
struct ScramBegin {
  static constexpr auto kType = MessageType::scram_begin;
  UserName user;
  FixedText<128> nonce;
  FixedText<600> bare;
  LoginMechanism mechanism = LoginMechanism::scram;  ///< or scram_plus
  std::uint8_t other_authorization = 0;
};

struct ScramChallenge {
  static constexpr auto kType = MessageType::scram_challenge;
  FixedText<300> text;
};

struct ScramFinish {
  static constexpr auto kType = MessageType::scram_finish;
  FixedText<900> without_proof;
  FixedText<170> nonce;
  std::array<std::byte, 32> proof{};
  std::uint8_t not_bound = 0;  ///< the client bound another channel than this one
};

/// The proof was right; the client is shown this and says whether it believes us: SaslDone or SaslCancel.
struct ScramSignature {
  static constexpr auto kType = MessageType::scram_signature;
  FixedText<64> text;
};

struct SaslDone {
  static constexpr auto kType = MessageType::sasl_done;
  std::uint32_t reserved = 0;
};

/// The client gave up an exchange that had begun.
struct SaslCancel {
  static constexpr auto kType = MessageType::sasl_cancel;
  std::uint32_t reserved = 0;
};

struct CheckSystemPassword {
  static constexpr auto kType = MessageType::check_system_password;
  UserName user;
  FixedText<255> password;
};

enum class SystemOutcome : std::uint32_t { accepted, refused, unknown_user, temporary_failure };

struct SystemVerdict {
  static constexpr auto kType = MessageType::system_verdict;
  SystemOutcome outcome = SystemOutcome::temporary_failure;
  FixedText<120> reason;  ///< for the log
};

enum class DotlockOp : std::uint32_t { lock, touch, unlock };

/// One certificate file of `count`, and its key file when that is another; without descriptors when it cannot be opened: then what was read
/// before stays. The last one of a set is the sign to make a new profile of all.
struct PairFile {
  static constexpr auto kType = MessageType::pair_file;
  std::uint32_t number = 0;
  std::uint32_t count = 0;
  std::uint8_t client_authorities = 0;  ///< no pair, but authorities of clients
  std::array<std::uint8_t, 3> reserved{};
  FixedText<400> name;  ///< for the log
};

/// With the profile when at least one pair can be used; `refused`: that cannot.
struct ProfileReady {
  static constexpr auto kType = MessageType::profile_ready;
  std::uint32_t generation = 0;
  std::uint32_t usable = 0;
  std::uint32_t refused = 0;
  std::int32_t days_left = 0;  ///< of the first to end
};

/// A session that was given the profile of this generation.
struct AttachToSigner {
  static constexpr auto kType = MessageType::attach_to_signer;
  std::uint32_t generation = 0;
};

/// In the terms of common/tls/remote_key.h.
struct SignDigest {
  static constexpr auto kType = MessageType::sign_digest;
  std::uint32_t key = 0;
  std::uint32_t scheme = 0;
  std::uint32_t digest = 0;
  FixedText<64> octets;
};

struct DigestSigned {
  static constexpr auto kType = MessageType::digest_signed;
  FixedText<600> signature;  ///< empty: refused. RSA 4096 has 512 octets
};

using TlsSessionId = FixedText<32>;

struct StoreTlsSession {
  static constexpr auto kType = MessageType::store_tls_session;
  TlsSessionId id;
  FixedText<900> session;
};

struct FindTlsSession {
  static constexpr auto kType = MessageType::find_tls_session;
  TlsSessionId id;
  std::uint32_t once = 0;
};

struct TlsSessionFound {
  static constexpr auto kType = MessageType::tls_session_found;
  FixedText<900> session;  ///< empty: there is none
};

/// For the log.
struct TlsStarted {
  static constexpr auto kType = MessageType::tls_started;
  FixedText<16> version;
  FixedText<48> cipher;
  std::uint32_t bits = 0;
  std::uint32_t resumed = 0;
};

/// Said at most once, before any login. What the session claims here gives it nothing: it holds whatever its client sends. The answer is
/// another SessionGreeting.
struct InsideTls {
  static constexpr auto kType = MessageType::inside_tls;
  std::uint16_t can_bind = 0;         ///< channel binding: SCRAM-SHA-256-PLUS can be used
  std::uint16_t has_certificate = 0;  ///< the client proved that it holds the key of a certificate: EXTERNAL can be used
};

/// AUTH EXTERNAL: the handshake follows in parts (common/tls/client_proof.h). Names are the client's claim.
struct VerifyExternal {
  static constexpr auto kType = MessageType::verify_external;
  static constexpr std::uint32_t kMostOctets = 32768;  // fits the buffer of a channel
  UserName user;           ///< for the log, and whom the attempt is counted against
  UserName authorization;  ///< whom the client wants to act as; empty: as its certificate says
  std::uint32_t octets = 0;
};

struct ProofPart {
  static constexpr auto kType = MessageType::proof_part;
  FixedText<1024> octets;
};

/// Whose certificate it is, when `outcome` is accepted.
struct CertificateVerdict {
  static constexpr auto kType = MessageType::certificate_verdict;
  std::uint32_t accepted = 0;
  UserName name;
  FixedText<120> reason;  ///< for the log
};

/// The parts of a proof, in order. Errors  those of the channel.
template <class Channel>
[[nodiscard]] base::Status send_proof(const Channel& channel, std::string_view proof, bool wait) {
  while (!proof.empty()) {
    ProofPart part;
    part.octets.set(proof.substr(0, decltype(part.octets)::kMost));
    if (auto sent = channel.send(part, {}, wait); !sent) return sent;
    proof.remove_prefix(part.octets.view().size());
  }
  return {};
}

struct DotlockRequest {
  static constexpr auto kType = MessageType::dotlock_request;
  DotlockOp op = DotlockOp::lock;
  std::uint32_t kernel_locks_held = 0;
};

enum class DotlockResult : std::uint32_t { done, busy, failed };

struct DotlockReply {
  static constexpr auto kType = MessageType::dotlock_reply;
  DotlockResult result = DotlockResult::failed;
  std::int32_t errno_value = 0;
};

/// With the options that hold for this user.
struct MaildropOpened {
  static constexpr auto kType = MessageType::maildrop_opened;
  std::uint32_t has_spool = 0;  ///< 0: no mail; then only the session lock and the listing come along
  std::uint32_t idle_seconds = 0;
  std::uint32_t login_delay_s = 0;
  std::int32_t expire_days = -1;  ///< -1: never
  std::uint8_t hidden_first = 0;  ///< the first message of the listing is not to be shown
  std::uint8_t auto_delete = 0;
  std::uint8_t update_on_abort = 0;
  std::uint8_t honour_status = 0;  ///< messages that are marked as read in the spool count as retrieved
  std::uint8_t may_send = 0;       ///< XTND XMIT
  std::uint8_t debug = 0;
  std::uint16_t has_hidden = 0;  ///< 1: the last descriptor says which messages of the listing are deleted (listing::read_hidden())
};

/// The options that hold for this user, as far as the monitor acts on them. From a process of the user's: nothing in it may be able to do more
/// than he can.
struct UserSettings {
  static constexpr auto kType = MessageType::user_settings;
  std::uint8_t statistics = 0;
  std::uint8_t timing = 0;
  FixedText<255> mail_command;
  std::uint8_t reserved = 0;
};

/// XTND XMIT: a process that runs mail-command as the user is wanted.
struct RequestSubmit {
  static constexpr auto kType = MessageType::request_submit;
  std::uint32_t reserved = 0;
};

struct SubmitChannel {
  static constexpr auto kType = MessageType::submit_channel;
  std::uint32_t reserved = 0;
};

struct SubmitPart {
  static constexpr auto kType = MessageType::submit_part;
  static constexpr std::uint64_t kMostOctets = 64UL * 1024 * 1024;  ///< of a message
  std::uint32_t size = 0;
  std::array<char, 1024> bytes{};
};

struct SubmitEnd {
  static constexpr auto kType = MessageType::submit_end;
  std::uint32_t reserved = 0;
};

/// A name of the client's address, from the resolver.
struct ClientName {
  static constexpr auto kType = MessageType::client_name;
  FixedText<255> name;
  std::uint8_t reserved = 0;
};

struct SubmitDone {
  static constexpr auto kType = MessageType::submit_done;
  std::int32_t exit_code = -1;
};

/// What a recovery came to. A struct of its own and not the library's enum: the monitor does not know that library.
enum class RecoveryOutcome : std::uint32_t {
  nothing,    ///< no committed update was found
  redone,     ///< the update was carried out
  finished,   ///< the update had been carried out; its journal was removed
  salvaged,   ///< the spool was rewritten by another program; missing messages were appended
  set_aside,  ///< the journal was damaged; it is kept
  failed,
};

struct MaildropRecovered {
  static constexpr auto kType = MessageType::maildrop_recovered;
  RecoveryOutcome outcome = RecoveryOutcome::failed;
  FixedText<600> text;  ///< for the report: what was found, or why it failed
};

/// locked: the mail locks were not to be had.
enum class MaildropFailure : std::uint32_t { in_use, temporary, permanent, unreadable, changed, no_space, locked, too_early };

struct MaildropFailed {
  static constexpr auto kType = MessageType::maildrop_failed;
  MaildropFailure failure = MaildropFailure::temporary;
};

/// The messages are gone for good, though moving the others, or the cut, is not finished; UpdateDone follows.
struct UpdateCommitted {
  static constexpr auto kType = MessageType::update_committed;
  std::uint64_t moving = 0;  ///< octets that are still to be moved, or cut off
};

struct UpdateDone {
  static constexpr auto kType = MessageType::update_done;
  std::uint32_t removed = 0;
};

struct UpdateBegin {
  static constexpr auto kType = MessageType::update_begin;
  std::array<std::byte, 16> records_hash{};
  std::uint32_t count = 0;
  std::uint32_t has_retrieved = 0;  ///< 1: a second bit map follows, of retrieved messages
};

/// Part `number` of a bit map, of deleted messages or of retrieved ones: bit i of byte b is message number*kBits + 8*b + i (from 0).
struct UpdatePart {
  static constexpr auto kType = MessageType::update_part;
  static constexpr std::size_t kBytes = 1024;
  static constexpr std::size_t kBits = kBytes * 8;
  std::uint32_t number = 0;
  std::array<std::uint8_t, kBytes> bits{};
};

}  // namespace qpop::ipc
