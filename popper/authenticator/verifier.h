// SPDX-License-Identifier: MIT
// Checks of passwords and APOP digests against the database of secrets. No socket, no message, no delay: the role
// around it has them.
//
// An unknown user, a disabled one, one without APOP secret and a wrong password cost the same work and differ in
// `reason` alone, which is for the log and never for the client. Runs as: pop, or the starting user. Source: RFC 1939
// section 7 (APOP), RFC 5802 section 3.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/authdb/database.h"
#include "common/base/result.h"
#include "common/base/secret.h"

namespace qpop::authenticator {

enum class Outcome : std::uint8_t { accepted, refused, temporary_failure };

enum class Reason : std::uint8_t {
  none,               ///< accepted
  unacceptable_name,  ///< refused before any look-up
  unknown_user,
  disabled,
  wrong_password,  ///< or wrong APOP digest
  no_apop_secret,
  no_database,  ///< temporary: the file does not exist; system accounts may still be asked
  database,     ///< temporary: it exists and cannot be used; `detail` says why
  no_key,       ///< temporary: APOP without the private key, or with the key of another database
};

/// Words for the log.
[[nodiscard]] std::string_view words(Reason reason);

struct Verdict {
  Outcome outcome = Outcome::refused;
  Reason reason = Reason::unknown_user;
  std::string detail;  ///< for the log; set for temporary failures
};

class Verifier {
 public:
  /// Opens nothing yet. `owner`: the uid the database must belong to (authdb::expected_owner()).
  Verifier(std::string database_path, uid_t owner) : path_(std::move(database_path)), owner_(owner) {}

  /// Takes the private key from a descriptor made by authdb::open_key_file(); again after the database was initialised
  /// anew. Errors  malformed; io. The key held before stays then.
  [[nodiscard]] base::Status load_key(int fd);

  [[nodiscard]] Verdict check_password(std::string_view user, const base::Secret& password);

  /// `stamp`: the time stamp of the greeting including "<" and ">"; `digest`: 32 lower-case hexadecimal digits from the
  /// client, any octets.
  [[nodiscard]] Verdict check_apop(std::string_view user, std::string_view stamp, std::string_view digest);

  /// True when the account exists and has an APOP secret, disabled or not.
  /// Errors  those of authdb::Database::open(): not_found means that there is no database.
  [[nodiscard]] base::Result<bool> has_apop(std::string_view user);

  /// True when the database opens and holds an account: the greeting carries a stamp for APOP only then.
  /// Errors  as has_apop().
  [[nodiscard]] base::Result<bool> has_any_account();

 private:
  /// The open database; reopened when another file has taken its name.
  [[nodiscard]] base::Result<authdb::Database*> database();
  [[nodiscard]] base::Result<std::optional<authdb::Account>> look_up(std::string_view user);
  [[nodiscard]] base::Status prepare_dummy(const authdb::Meta& meta);

  std::string path_;
  uid_t owner_;
  std::optional<authdb::Database> database_;
  base::Secret key_;
  std::string dummy_sealed_;  // what is opened for users without APOP secret
};

}  // namespace qpop::authenticator
