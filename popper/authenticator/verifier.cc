// SPDX-License-Identifier: MIT
// Checks of passwords and APOP digests. Runs as: pop, or the starting user.
#include "popper/authenticator/verifier.h"

#include <sys/stat.h>

#include <cerrno>

#include "common/authdb/key_file.h"
#include "common/authdb/password.h"
#include "common/authdb/record.h"
#include "common/authdb/user_name.h"
#include "common/digest/digest.h"

namespace qpop::authenticator {

using authdb::Account;
using authdb::Found;
using base::Error;
using base::ErrorKind;
using base::Result;
using base::Secret;
using base::Status;

namespace {

/// The name under which the dummy secret is sealed; no account can have it.
constexpr std::string_view kDummyName = ".dummy";

Verdict cannot(const Error& error) {
  const bool missing = error.kind() == ErrorKind::not_found;
  return {Outcome::temporary_failure, missing ? Reason::no_database : Reason::database, error.message()};
}

Verdict refused(Reason reason) {
  return {Outcome::refused, reason, {}};
}

/// What is against a login by that name, whatever the proof; none: nothing.
Reason fault_of(const Found& found, std::string_view user) {
  const bool acceptable = authdb::is_acceptable_user_name(user);
  if (!found.exists) return acceptable ? Reason::unknown_user : Reason::unacceptable_name;
  return found.account.disabled ? Reason::disabled : Reason::none;
}

/// As long as a record with everything in it.
std::string make_dummy_record() {
  Account account;
  account.scram.emplace();
  account.sealed_apop.assign(digest::kSealedOctets, 'x');
  return authdb::encode_account(kDummyName, account);
}

}  // namespace

Verifier::Verifier(std::string database_path, uid_t owner, base::Clock& clock)
    : path_(std::move(database_path)), owner_(owner), clock_(clock), remembered_(clock), dummy_record_(make_dummy_record()) {}

std::string_view words(Reason reason) {
  switch (reason) {
    case Reason::none:
      return "accepted";
    case Reason::unacceptable_name:
      return "not an acceptable user name";
    case Reason::unknown_user:
      return "no such account in the POP authentication DB";
    case Reason::disabled:
      return "account disabled";
    case Reason::wrong_password:
      return "wrong password";
    case Reason::no_apop_secret:
      return "account has no APOP secret";
    case Reason::no_scram:
      return "account has no SCRAM verifier";
    case Reason::clear_text:
      return "a clear password is not allowed here";
    case Reason::other_authorization:
      return "asked to act as another user";
    case Reason::not_bound:
      return "bound to another channel";
    case Reason::no_database:
    case Reason::database:
      return "accounts cannot be looked up";  // the detail names the database
    case Reason::no_key:
      return "no key for the APOP secrets";
  }
  return "";
}

Status Verifier::load_key(int fd) {
  auto key = authdb::read_key(fd);
  if (!key) return key.error();
  auto opener = digest::Opener::make(*key);
  if (!opener) return opener.error();
  opener_ = std::move(*opener);
  return {};
}

Result<authdb::Database*> Verifier::database() {
  struct stat status {};
  const bool there = ::lstat(path_.c_str(), &status) == 0;
  const db::FileIdentity now{status.st_dev, status.st_ino};
  if (database_ && (!there || database_->identity() != now)) database_.reset();
  if (!database_) {
    auto opened = authdb::Database::open(path_, owner_, authdb::Access::read_only);
    if (!opened) return opened.error();
    database_.emplace(std::move(*opened));
    dummy_sealed_.clear();
  }
  return &*database_;
}

Result<Found> Verifier::look_up(std::string_view user) {
  auto database = this->database();
  if (!database) return database.error();
  auto found = (*database)->find_or(user, {kDummyName, dummy_record_});
  // Whatever is wrong may be mended by opening it again: grown too often, shrunk, replaced in place.
  if (!found && found.error().kind() != ErrorKind::malformed) database_.reset();
  return found;
}

Verdict Verifier::check_password(std::string_view user, const Secret& password, const Circumstances& how) {
  const auto found = look_up(user);
  if (!found) return cannot(found.error());
  const Account& account = found->account;
  const auto record = authdb::encode_account(user, account);
  const bool remembered = remembered_.match(user, record, password) && found->exists;
  const bool right = remembered || authdb::matches_password(database_->meta(), user, found->exists ? &account : nullptr, password);
  if (const auto fault = fault_of(*found, user); fault != Reason::none) return refused(fault);
  if (!right) return refused(Reason::wrong_password);
  const bool must_use_apop = how.clear_text_not_with_apop && !how.inside_tls && !account.sealed_apop.empty();
  if (!how.clear_text_allowed || must_use_apop) return refused(Reason::clear_text);
  Verdict accepted{Outcome::accepted, Reason::none};
  if (!remembered) remembered_.remember(user, record, password);
  if (how.inside_tls && authdb::needs_upgrade(database_->meta(), account))
    accepted.detail = upgrade(user, account, password);
  return accepted;
}

/// Returns why it did not work; the login is good all the same.
std::string Verifier::upgrade(std::string_view user, const Account& matched, const Secret& password) {
  // LMDB must not have the file open twice in one process.
  database_.reset();
  auto writable = authdb::Database::open(path_, owner_, authdb::Access::read_write);
  if (!writable) return writable.error().message();
  // popauth may have set another password since: then nothing is stored.
  const auto stored = writable->upgrade(user, matched, password);
  return stored ? std::string{} : stored.error().message();
}

Status Verifier::prepare_dummy(const authdb::Meta& meta) {
  if (!opener_) return Error{ErrorKind::not_found, "no key was handed over"};
  if (opener_->public_key() != meta.public_key) {
    return Error{ErrorKind::changed, "the key file " + authdb::key_path_of(path_) +
                                         " does not belong to this database; restart the server, "
                                         "or restore the key file together with its database"};
  }
  if (!dummy_sealed_.empty()) return {};
  auto sealed = authdb::seal_apop(meta, kDummyName, Secret{"not a secret"});
  if (!sealed) return sealed.error();
  dummy_sealed_ = std::move(*sealed);
  return {};
}

Verdict Verifier::check_digest(std::string_view user, std::string_view stamp, std::string_view digest, Digest make) {
  const auto found = look_up(user);
  if (!found) return cannot(found.error());
  if (auto ok = prepare_dummy(database_->meta()); !ok)
    return {Outcome::temporary_failure, Reason::no_key, ok.error().message()};
  const bool has_secret = found->exists && !found->account.sealed_apop.empty();
  const auto secret =
      authdb::open_apop(*opener_, has_secret ? user : kDummyName, has_secret ? found->account.sealed_apop : dummy_sealed_);
  if (!secret) return {Outcome::temporary_failure, Reason::database, secret.error().at("APOP secret").message()};
  const bool right = base::equal_constant_time(make(stamp, secret->view()), digest);
  if (const auto fault = fault_of(*found, user); fault != Reason::none) return refused(fault);
  if (!has_secret) return refused(Reason::no_apop_secret);
  if (!right) return refused(Reason::wrong_password);
  return {Outcome::accepted, Reason::none};
}

Verdict Verifier::check_apop(std::string_view user, std::string_view stamp, std::string_view digest) {
  return check_digest(user, stamp, digest, digest::md5_hex);
}

Verdict Verifier::check_cram_md5(std::string_view user, std::string_view challenge, std::string_view digest) {
  return check_digest(user, challenge, digest, [](std::string_view text, std::string_view secret) {
    return digest::hmac_md5_hex(secret, text);
  });
}

ScramStart Verifier::begin_scram(std::string_view user) {
  ScramStart start;
  // SASLprep of the name (RFC 5802 section 5.1); what it makes of our names is the name itself.
  start.user = authdb::prepare_password(Secret{user}).view();
  const auto found = look_up(start.user);
  if (!found) {
    start.verdict = cannot(found.error());
    return start;
  }
  const bool has_verifier = found->exists && found->account.scram;
  const auto made_up = authdb::dummy_scram(database_->meta(), start.user);
  const auto& verifier = has_verifier ? *found->account.scram : made_up;
  start.secret = {std::string{digest::view_of(verifier.salt)}, verifier.iterations, verifier.stored_key, verifier.server_key};
  const auto fault = fault_of(*found, start.user);
  start.verdict = {Outcome::accepted, Reason::none};
  if (fault != Reason::none) {
    start.verdict = refused(fault);
  } else if (!has_verifier) {
    start.verdict = refused(Reason::no_scram);
  }
  return start;
}

Verdict Verifier::check_external(std::string_view authorization, std::string_view certificate_name) {
  const auto found = look_up(certificate_name);
  if (!found) return cannot(found.error());
  if (certificate_name.empty()) return refused(Reason::wrong_password);
  if (!authorization.empty() && authorization != certificate_name) return refused(Reason::other_authorization);
  if (const auto fault = fault_of(*found, certificate_name); fault != Reason::none) return refused(fault);
  return {Outcome::accepted, Reason::none};
}

Result<bool> Verifier::has_apop(std::string_view user) {
  const auto found = look_up(user);
  if (!found) return found.error();
  return found->exists && !found->account.sealed_apop.empty();
}

Result<bool> Verifier::has_any_account() {
  auto database = this->database();
  if (!database) return database.error();
  auto count = (*database)->count();
  if (!count) return count.error();
  return *count > 0;
}

Result<bool> Verifier::has_any_apop() {
  constexpr std::int64_t kBelievedMs = 5000;
  auto database = this->database();
  if (!database) return database.error();
  auto count = (*database)->count();
  if (!count) return count.error();
  const auto now = clock_.monotonic_ms();
  if (*count == 0 || (*count == without_apop_ && now < without_apop_until_ms_)) return false;
  bool found = false;
  auto listed = (*database)->list([&](std::string_view, const Result<Account>& account) {
    found = account && !account->sealed_apop.empty();
    return !found;
  });
  if (!listed) return listed.error();
  without_apop_ = found ? 0 : *count;
  without_apop_until_ms_ = now + kBelievedMs;
  return found;
}

}  // namespace qpop::authenticator
