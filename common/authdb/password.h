// SPDX-License-Identifier: MIT
// Passwords as the user types them against what a record holds: SASLprep, SCRAM-SHA-256, crypt(3).
//
// Which form counts: SCRAM and every clear password (PASS, PLAIN, LOGIN) the prepared one, APOP, CRAM-MD5, crypt(3) and
// {CRAM-MD5} strings the octets as sent. The functions here are given the octets as sent and prepare by themselves.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/authdb/account.h"
#include "common/base/result.h"
#include "common/base/secret.h"

namespace qpop::authdb {

/// SASLprep of a password, code points that Unicode 3.2 did not know allowed: both sides then agree on them. What
/// cannot be prepared (no UTF-8, prohibited or mixed-direction characters, empty or longer than 255 octets afterwards)
/// is given back as it is. Also for the user name in SCRAM.
/// Source  RFC 4013, RFC 5802 section 5.1, through GNU libidn.
[[nodiscard]] base::Secret prepare_password(const base::Secret& password);

/// True when `password` is that of the account by its SCRAM verifier, else by its crypt(3) or {CRAM-MD5} string.
/// `account` null: there is none of that name; the answer is false.
///
/// Work, whatever the answer and whatever `account` holds: one PBKDF2, one HMAC-MD5 state and, when `meta.dummy_crypt`
/// is set, one crypt(3); unequal only while accounts of several crypt(3) schemes are in the database. A disabled
/// account is not told apart.
[[nodiscard]] bool matches_password(const Meta& meta, std::string_view name, const Account* account,
                                    const base::Secret& password);

/// True when a clear password that has just matched should be stored anew: a crypt(3) string, or fewer iterations than
/// new passwords get.
[[nodiscard]] bool needs_upgrade(const Meta& meta, const Account& account);

/// The account with a SCRAM verifier for `password` in place of its crypt(3) string. No APOP secret is made: a record
/// that had none gets nothing that a password can be read from.
[[nodiscard]] Account upgraded(const Meta& meta, const Account& account, const base::Secret& password);

/// Costs what the scheme costs; false for a string that crypt(3) does not know.
[[nodiscard]] bool matches_crypt(std::string_view crypt, const base::Secret& password);

/// A string of the same scheme, cost and salt as `crypt` for a random password: Meta::dummy_crypt.
/// Errors  unsupported: crypt(3) does not know the scheme.
[[nodiscard]] base::Result<std::string> make_dummy_crypt(std::string_view crypt);

}  // namespace qpop::authdb
