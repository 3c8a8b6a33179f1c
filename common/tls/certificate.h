// SPDX-License-Identifier: MIT
// One certificate: what it says, for whom, how long.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/tls/handles.h"

namespace qpop::tls {

class Certificate {
 public:
  /// `handle` must not be empty.
  explicit Certificate(X509Handle handle) : handle_(std::move(handle)) {}
  /// Another owner of the same certificate.
  [[nodiscard]] Certificate share() const;

  [[nodiscard]] X509& get() const { return *handle_; }

  /// Names as "CN = mail.example.org, O = Example", octets that are no printable ASCII escaped.
  [[nodiscard]] std::string subject() const;
  [[nodiscard]] std::string issuer() const;
  [[nodiscard]] std::string common_name() const;
  /// DNS names and addresses of SubjectAltName, escaped; empty when it has none.
  [[nodiscard]] std::vector<std::string> host_names() const;
  /// As a client checks it (RFC 6125): SubjectAltName only, one wildcard label, addresses as addresses.
  [[nodiscard]] bool is_for(const std::string& host) const;

  /// Seconds since the epoch.
  [[nodiscard]] std::int64_t not_before() const;
  [[nodiscard]] std::int64_t not_after() const;

  /// Subject and issuer are the same and its own key signed it.
  [[nodiscard]] bool is_self_signed() const;
  /// basicConstraints CA:TRUE.
  [[nodiscard]] bool is_authority() const;
  /// Its key usage allows a TLS server (no extension allows all).
  [[nodiscard]] bool is_for_servers() const;
  /// Did `issuer` sign it? Names, key identifiers and the signature itself.
  [[nodiscard]] bool is_signed_by(const Certificate& issuer) const;
  [[nodiscard]] bool has_key(const EVP_PKEY& key) const;

  [[nodiscard]] EVP_PKEY* public_key() const { return ::X509_get0_pubkey(handle_.get()); }
  /// "SHA256", "SHA1", "MD5", "ED25519" ...
  [[nodiscard]] std::string signature_digest() const;
  [[nodiscard]] bool has_weak_signature() const;
  /// SHA-256 in hexadecimal pairs with colons.
  [[nodiscard]] std::string fingerprint() const;
  [[nodiscard]] std::string pem() const;
  [[nodiscard]] std::string der() const;
  bool operator==(const Certificate& other) const { return ::X509_cmp(handle_.get(), other.handle_.get()) == 0; }

 private:
  X509Handle handle_;
};

/// A time as "2026-11-23 05:40:00 UTC".
[[nodiscard]] std::string format_time(std::int64_t seconds);

/// Is it an IPv4 or IPv6 address?
[[nodiscard]] bool is_address(const std::string& host);

}  // namespace qpop::tls
