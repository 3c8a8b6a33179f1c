// SPDX-License-Identifier: MIT
// SCRAM verifiers (RFC 5802 section 3) and sealed APOP secrets.
#include "common/authdb/account.h"

#include "common/authdb/password.h"
#include "common/authdb/record.h"

namespace qpop::authdb {

using base::Secret;
using digest::Digest32;
using digest::view_of;

namespace {

struct Keys {
  Digest32 stored_key, server_key;
};

Keys derive_keys(const Secret& password, std::string_view salt, std::uint32_t iterations) {
  const auto prepared = prepare_password(password);
  auto salted = digest::pbkdf2_sha256(prepared.view(), salt, iterations);
  auto client_key = digest::hmac_sha256(view_of(salted), "Client Key");
  const std::array<std::string_view, 1> parts{view_of(client_key)};
  const Keys keys{digest::sha256(parts), digest::hmac_sha256(view_of(salted), "Server Key")};
  base::wipe(salted);
  base::wipe(client_key);
  return keys;
}

/// Ties a sealed value to its name, so that values cannot be exchanged between records. The last octet is the version
/// of this rule, which the version of the records was the same as when it was 1.
std::string associated(std::string_view name) {
  std::string text{name};
  text += '\0';
  text += '\1';
  return text;
}

}  // namespace

ScramVerifier make_scram(const Secret& password, std::uint32_t iterations) {
  ScramVerifier verifier;
  digest::random_bytes(verifier.salt);
  verifier.iterations = iterations;
  const auto keys = derive_keys(password, view_of(verifier.salt), iterations);
  verifier.stored_key = keys.stored_key;
  verifier.server_key = keys.server_key;
  return verifier;
}

bool matches(const ScramVerifier& verifier, const Secret& password) {
  const auto keys = derive_keys(password, view_of(verifier.salt), verifier.iterations);
  return base::equal_constant_time(view_of(keys.stored_key), view_of(verifier.stored_key));
}

ScramVerifier dummy_scram(const Meta& meta, std::string_view name) {
  const auto mac = [&](std::string_view label) {
    return digest::hmac_sha256(view_of(meta.server_key), std::string{label}.append(name));
  };
  ScramVerifier verifier;
  const auto salt = mac("salt ");
  std::copy_n(salt.begin(), verifier.salt.size(), verifier.salt.begin());
  verifier.iterations = meta.iterations;
  verifier.stored_key = mac("stored ");
  verifier.server_key = mac("server ");
  return verifier;
}

base::Result<std::string> seal_apop(const Meta& meta, std::string_view name, const Secret& password) {
  return digest::seal(meta.public_key, password.view(), associated(name));
}

base::Result<Secret> open_apop(const digest::Opener& opener, std::string_view name, std::string_view sealed) {
  return opener.open(sealed, associated(name));
}

}  // namespace qpop::authdb
