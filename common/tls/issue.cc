// SPDX-License-Identifier: MIT
// Profile of what we issue: version 3, random serial number of 159 bits, SHA-256, SubjectAltName always (RFC 5280, RFC 6125).
#include "common/tls/issue.h"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "common/base/text.h"
#include "common/tls/openssl_error.h"

namespace qpop::tls {

namespace {

using base::ErrorKind;

constexpr std::size_t kMaxCommonName = 64;  // ub-common-name of RFC 5280

base::Status set_serial(X509& certificate) {
  std::array<unsigned char, 20> octets{};
  if (::RAND_bytes(octets.data(), octets.size()) != 1) return openssl_error(ErrorKind::io, "draw a serial number");
  octets[0] &= 0x7FU;  // positive
  octets[0] |= 0x40U;  // and never 0
  const std::unique_ptr<BIGNUM, Deleter<BN_free>> number{::BN_bin2bn(octets.data(), octets.size(), nullptr)};
  if (!number || ::BN_to_ASN1_INTEGER(number.get(), ::X509_get_serialNumber(&certificate)) == nullptr)
    return openssl_error(ErrorKind::io, "set the serial number");
  return {};
}

base::Status set_name(X509_NAME* name, const std::string& common_name) {
  if (::X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common_name.data()),
                                   static_cast<int>(common_name.size()), -1, 0) != 1)
    return openssl_error(ErrorKind::io, "set the name");
  return {};
}

base::Status add_extension(X509& certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, &certificate, nullptr, nullptr, 0);
  const ExtensionHandle extension{::X509V3_EXT_nconf_nid(nullptr, &context, nid, value.c_str())};
  if (!extension || ::X509_add_ext(&certificate, extension.get(), -1) != 1)
    return openssl_error(ErrorKind::io, fmt::format("add {}", ::OBJ_nid2sn(nid)));
  return {};
}

base::Result<std::string> alternative_names(const std::vector<std::string>& hosts) {
  std::string out;
  for (const auto& host : hosts) {
    if (!is_acceptable_host(host)) return base::Error{ErrorKind::malformed, fmt::format("\"{}\" is no host name and no address", base::escape_untrusted(host, 100))};
    out += fmt::format("{}{}:{}", out.empty() ? "" : ",", is_address(host) ? "IP" : "DNS", host);
  }
  if (out.empty()) return base::Error{ErrorKind::malformed, "no host name"};
  return out;
}

/// Version, serial number, times, key and subject.
base::Result<X509Handle> begin(EVP_PKEY& key, const std::string& common_name, std::int64_t now, int days) {
  X509Handle out{::X509_new()};
  if (!out || ::X509_set_version(out.get(), X509_VERSION_3) != 1 || ::X509_set_pubkey(out.get(), &key) != 1)
    return openssl_error(ErrorKind::io, "make a certificate");
  if (auto done = set_serial(*out); !done) return done.error();
  if (::ASN1_TIME_set(::X509_getm_notBefore(out.get()), now - kBackdateSeconds) == nullptr ||
      ::ASN1_TIME_set(::X509_getm_notAfter(out.get()), now - kBackdateSeconds + std::int64_t{days} * 86400) == nullptr)
    return openssl_error(ErrorKind::io, "set the times");
  if (auto done = set_name(::X509_get_subject_name(out.get()), common_name); !done) return done.error();
  return out;
}

base::Status sign(X509& certificate, EVP_PKEY& key) {
  if (::X509_sign(&certificate, &key, ::EVP_sha256()) == 0) return openssl_error(ErrorKind::io, "sign a certificate");
  return {};
}

using Extensions = std::vector<std::pair<int, std::string>>;

base::Result<Certificate> finish(X509Handle certificate, X509* issuer, EVP_PKEY& key, const Extensions& extensions) {
  if (::X509_set_issuer_name(certificate.get(), ::X509_get_subject_name(issuer)) != 1) return openssl_error(ErrorKind::io, "set the issuer");
  for (const auto& [nid, value] : extensions) {
    if (auto done = add_extension(*certificate, issuer, nid, value); !done) return done.error();
  }
  if (auto done = sign(*certificate, key); !done) return done.error();
  return Certificate{std::move(certificate)};
}

std::string common_name_of(const std::vector<std::string>& hosts) {
  return hosts.empty() || hosts.front().size() > kMaxCommonName ? std::string{"POP3 server"} : hosts.front();
}

base::Result<Certificate> make_server(EVP_PKEY& key, const ServerWish& wish, const Certificate* authority, EVP_PKEY& signing_key) {
  auto names = alternative_names(wish.hosts);
  if (!names) return names.error();
  auto certificate = begin(key, common_name_of(wish.hosts), wish.now, wish.days);
  if (!certificate) return certificate.error();
  X509* issuer = authority == nullptr ? certificate->get() : &authority->get();
  Extensions extensions{{NID_basic_constraints, "critical,CA:FALSE"},
                        {NID_key_usage, EVP_PKEY_is_a(&key, "RSA") == 1 ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature"},
                        {NID_ext_key_usage, "serverAuth"},
                        {NID_subject_alt_name, *names},
                        {NID_subject_key_identifier, "hash"}};
  if (authority != nullptr) extensions.emplace_back(NID_authority_key_identifier, "keyid");
  return finish(std::move(*certificate), issuer, signing_key, extensions);
}

}  // namespace

bool is_acceptable_host(const std::string& host) {
  if (is_address(host)) return true;
  std::string_view rest{host};
  if (rest.starts_with("*.")) rest.remove_prefix(2);
  if (rest.empty() || host.size() > 253) return false;
  while (true) {
    const auto label = rest.substr(0, rest.find('.'));
    const auto fine = [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '_'; };
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-' || !std::ranges::all_of(label, fine)) return false;
    if (label.size() == rest.size()) return true;
    rest.remove_prefix(label.size() + 1);
  }
}

base::Result<Certificate> self_signed(EVP_PKEY& key, const ServerWish& wish) { return make_server(key, wish, nullptr, key); }

base::Result<Certificate> signed_by(const Certificate& authority, EVP_PKEY& authority_key, EVP_PKEY& key, const ServerWish& wish) {
  return make_server(key, wish, &authority, authority_key);
}

base::Result<Certificate> make_authority(EVP_PKEY& key, const std::string& name, std::int64_t now, int days) {
  auto certificate = begin(key, name.size() > kMaxCommonName ? name.substr(0, kMaxCommonName) : name, now, days);
  if (!certificate) return certificate.error();
  X509* issuer = certificate->get();
  return finish(std::move(*certificate), issuer, key,
                {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                 {NID_key_usage, "critical,keyCertSign,cRLSign"},
                 {NID_ext_key_usage, "serverAuth"},
                 {NID_subject_key_identifier, "hash"}});
}

base::Result<std::string> make_request(EVP_PKEY& key, const std::vector<std::string>& hosts) {
  auto names = alternative_names(hosts);
  if (!names) return names.error();
  const RequestHandle request{::X509_REQ_new()};
  if (!request || ::X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 || ::X509_REQ_set_pubkey(request.get(), &key) != 1)
    return openssl_error(ErrorKind::io, "make a request");
  if (auto done = set_name(::X509_REQ_get_subject_name(request.get()), common_name_of(hosts)); !done) return done.error();
  X509V3_CTX context{};
  X509V3_set_ctx(&context, nullptr, nullptr, request.get(), nullptr, 0);
  const ExtensionsHandle extensions{sk_X509_EXTENSION_new_null()};
  ExtensionHandle extension{::X509V3_EXT_nconf_nid(nullptr, &context, NID_subject_alt_name, names->c_str())};
  if (!extensions || !extension || sk_X509_EXTENSION_push(extensions.get(), extension.get()) == 0)
    return openssl_error(ErrorKind::io, "add the host names");
  static_cast<void>(extension.release());  // the stack's now
  if (::X509_REQ_add_extensions(request.get(), extensions.get()) != 1 || ::X509_REQ_sign(request.get(), &key, ::EVP_sha256()) == 0)
    return openssl_error(ErrorKind::io, "sign the request");
  const BioHandle out{::BIO_new(::BIO_s_mem())};
  if (!out || ::PEM_write_bio_X509_REQ(out.get(), request.get()) != 1) return openssl_error(ErrorKind::io, "encode the request");
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out.get(), &bytes);
  return std::string{bytes, static_cast<std::size_t>(size)};
}

}  // namespace qpop::tls
