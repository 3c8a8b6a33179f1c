// SPDX-License-Identifier: MIT
// Checks of passwords, digests and SCRAM proofs against the database of secrets. No socket, no message, no delay: the role
// around it has them.
//
// An unknown user, a disabled one, one without APOP secret and a wrong password cost the same work and differ in
// `reason` alone, which is for the log and never for the client. Runs as: pop, or the starting user. Source: RFC 1939
// section 7 (APOP), RFC 2195 (CRAM-MD5), RFC 5802 section 3, RFC 4422 appendix A (EXTERNAL).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/authdb/database.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/sasl/scram_server.h"
#include "popper/authenticator/remembered.h"

namespace qpop::authenticator {

enum class Outcome : std::uint8_t { accepted, refused, temporary_failure };

enum class Reason : std::uint8_t {
  none,               ///< accepted
  unacceptable_name,  ///< refused before any look-up
  unknown_user,
  disabled,
  wrong_password,  ///< or wrong digest, or wrong proof
  no_apop_secret,
  no_scram,             ///< an imported record that knows a crypt(3) string only
  clear_text,           ///< a clear password that the configuration does not allow
  other_authorization,  ///< the client wants to act as somebody else
  not_bound,            ///< SCRAM was bound to another channel
  no_database,  ///< temporary: the file does not exist; system accounts may still be asked
  database,     ///< temporary: it exists and cannot be used; `detail` says why
  no_key,       ///< temporary: APOP without the private key, or with the key of another database
};

/// Words for the log.
[[nodiscard]] std::string_view words(Reason reason);

struct Verdict {
  Outcome outcome = Outcome::refused;
  Reason reason = Reason::unknown_user;
  std::string detail{};  ///< for the log; set for temporary failures, and when a record could not be upgraded
};

/// What is known of how a password came in, beyond the password.
struct Circumstances {
  bool clear_text_allowed = true;
  bool clear_text_not_with_apop = false;  ///< outside TLS: who has an APOP secret must use it
  bool inside_tls = false;                ///< a clear password may upgrade the record it matched
};

/// What a SCRAM exchange starts from. For who cannot log in by SCRAM it is made up, always the same for a name, and no proof fits it.
struct ScramStart {
  Verdict verdict;   ///< temporary_failure: no exchange; refused: what a right proof must come to; accepted: a right proof logs in
  std::string user;  ///< the name that logs in
  sasl::ScramSecret secret;
};

class Verifier {
 public:
  /// Opens nothing yet. `owner`: the uid the database must belong to (authdb::expected_owner()). `clock` must outlive this.
  Verifier(std::string database_path, uid_t owner, base::Clock& clock);

  /// Takes the private key from a descriptor made by authdb::open_key_file(); again after the database was initialised
  /// anew. Errors  malformed; io. The key held before stays then.
  [[nodiscard]] base::Status load_key(int fd);

  /// Inside TLS, an account that has an imported crypt(3) string gets a SCRAM verifier for the password that has just matched.
  [[nodiscard]] Verdict check_password(std::string_view user, const base::Secret& password, const Circumstances& how);

  /// `stamp`: the time stamp of the greeting including "<" and ">"; `digest`: 32 lower-case hexadecimal digits from the
  /// client, any octets.
  [[nodiscard]] Verdict check_apop(std::string_view user, std::string_view stamp, std::string_view digest);

  /// `challenge` as it was sent; `digest`: 32 lower-case hexadecimal digits from the client, any octets.
  [[nodiscard]] Verdict check_cram_md5(std::string_view user, std::string_view challenge, std::string_view digest);

  [[nodiscard]] ScramStart begin_scram(std::string_view user);

  /// `certificate_name`: from a client certificate that was verified; "" when there was none, which is refused.
  [[nodiscard]] Verdict check_external(std::string_view authorization, std::string_view certificate_name);

  /// True when the account exists and has an APOP secret, disabled or not.
  /// Errors  those of authdb::Database::open(): not_found means that there is no database.
  [[nodiscard]] base::Result<bool> has_apop(std::string_view user);

  /// True when the database opens and holds an account. Errors  as has_apop().
  [[nodiscard]] base::Result<bool> has_any_account();
  /// The same of an account with an APOP secret: the greeting carries a stamp, and CRAM-MD5 is offered, only then. That there is none is
  /// believed for five seconds while the number of accounts stays the same.
  [[nodiscard]] base::Result<bool> has_any_apop();

 private:
  /// The open database; reopened when another file has taken its name.
  [[nodiscard]] base::Result<authdb::Database*> database();
  [[nodiscard]] base::Result<authdb::Found> look_up(std::string_view user);
  [[nodiscard]] base::Status prepare_dummy(const authdb::Meta& meta);
  using Digest = std::string (*)(std::string_view stamp, std::string_view secret);
  [[nodiscard]] Verdict check_digest(std::string_view user, std::string_view stamp, std::string_view digest, Digest make);
  [[nodiscard]] std::string upgrade(std::string_view user, const authdb::Account& matched, const base::Secret& password);

  std::string path_;
  uid_t owner_;
  std::optional<authdb::Database> database_;
  std::optional<digest::Opener> opener_;
  base::Clock& clock_;
  RememberedPasswords remembered_;
  std::uint64_t without_apop_ = 0;  ///< accounts, when none had an APOP secret
  std::int64_t without_apop_until_ms_ = 0;
  std::string dummy_record_;  // what is read for names without account
  std::string dummy_sealed_;  // what is opened for users without APOP secret
};

}  // namespace qpop::authenticator
