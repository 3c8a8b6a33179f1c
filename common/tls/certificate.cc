// SPDX-License-Identifier: MIT
// Certificates by OpenSSL's X509 interface.
#include "common/tls/certificate.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include <array>
#include <ctime>

#include "common/base/text.h"
#include "common/tls/key.h"

namespace qpop::tls {

namespace {

std::string name_text(const X509_NAME* name) {
  const BioHandle out{::BIO_new(::BIO_s_mem())};
  if (!out || name == nullptr || ::X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) < 0) return "?";
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out.get(), &bytes);
  return base::escape_untrusted({bytes, static_cast<std::size_t>(size)}, 300);
}

std::int64_t seconds_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ::ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return ::timegm(&parts);
}

std::string host_name_of(const GENERAL_NAME& name) {
  if (name.type == GEN_DNS) {
    const auto* text = name.d.dNSName;
    return base::escape_untrusted({reinterpret_cast<const char*>(::ASN1_STRING_get0_data(text)), static_cast<std::size_t>(::ASN1_STRING_length(text))}, 260);
  }
  if (name.type != GEN_IPADD) return {};
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int length = ::ASN1_STRING_length(name.d.iPAddress);
  const int family = length == 4 ? AF_INET : AF_INET6;
  if ((length != 4 && length != 16) || ::inet_ntop(family, ::ASN1_STRING_get0_data(name.d.iPAddress), text.data(), text.size()) == nullptr) return {};
  return text.data();
}

}  // namespace

Certificate Certificate::share() const {
  ::X509_up_ref(handle_.get());
  return Certificate{X509Handle{handle_.get()}};
}

std::string Certificate::subject() const { return name_text(::X509_get_subject_name(handle_.get())); }
std::string Certificate::issuer() const { return name_text(::X509_get_issuer_name(handle_.get())); }

std::string Certificate::common_name() const {
  const auto* name = ::X509_get_subject_name(handle_.get());
  const int at = name == nullptr ? -1 : ::X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) return {};
  const auto* text = ::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(name, at));
  return base::escape_untrusted({reinterpret_cast<const char*>(::ASN1_STRING_get0_data(text)), static_cast<std::size_t>(::ASN1_STRING_length(text))}, 260);
}

std::vector<std::string> Certificate::host_names() const {
  std::vector<std::string> out;
  const NamesHandle names{static_cast<GENERAL_NAMES*>(::X509_get_ext_d2i(handle_.get(), NID_subject_alt_name, nullptr, nullptr))};
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    auto text = host_name_of(*sk_GENERAL_NAME_value(names.get(), i));
    if (!text.empty()) out.push_back(std::move(text));
  }
  return out;
}

bool Certificate::is_for(const std::string& host) const {
  if (is_address(host)) return ::X509_check_ip_asc(handle_.get(), host.c_str(), 0) == 1;
  return ::X509_check_host(handle_.get(), host.data(), host.size(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, nullptr) == 1;
}

std::int64_t Certificate::not_before() const { return seconds_of(::X509_get0_notBefore(handle_.get())); }
std::int64_t Certificate::not_after() const { return seconds_of(::X509_get0_notAfter(handle_.get())); }

bool Certificate::is_self_signed() const {
  const bool own = ::X509_self_signed(handle_.get(), 1) == 1;
  ::ERR_clear_error();
  return own;
}

bool Certificate::is_authority() const { return ::X509_check_ca(handle_.get()) == 1; }

bool Certificate::is_for_servers() const {
  return (::X509_get_extended_key_usage(handle_.get()) & XKU_SSL_SERVER) != 0 || ::X509_get_extended_key_usage(handle_.get()) == UINT32_MAX;
}

bool Certificate::is_signed_by(const Certificate& issuer) const {
  const bool signed_by = ::X509_check_issued(issuer.handle_.get(), handle_.get()) == X509_V_OK && issuer.public_key() != nullptr &&
                         ::X509_verify(handle_.get(), issuer.public_key()) == 1;
  ::ERR_clear_error();
  return signed_by;
}

bool Certificate::has_key(const EVP_PKEY& key) const { return public_key() != nullptr && same_public_key(*public_key(), key); }

std::string Certificate::signature_digest() const {
  int digest = NID_undef;
  int algorithm = NID_undef;
  if (::X509_get_signature_info(handle_.get(), &digest, &algorithm, nullptr, nullptr) != 1) digest = NID_undef;
  const int shown = digest == NID_undef ? ::X509_get_signature_nid(handle_.get()) : digest;
  const char* name = ::OBJ_nid2sn(shown);
  return name == nullptr ? "unknown" : name;
}

bool Certificate::has_weak_signature() const {
  const auto digest = signature_digest();
  return digest == "SHA1" || digest == "MD5" || digest == "MD4" || digest == "MD2" || digest == "RSA-SHA1" || digest == "RSA-MD5";
}

std::string Certificate::fingerprint() const {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  unsigned int size = digest.size();
  if (::X509_digest(handle_.get(), ::EVP_sha256(), digest.data(), &size) != 1) return "?";
  std::string out;
  for (const auto octet : digest) out += fmt::format("{}{:02X}", out.empty() ? "" : ":", octet);
  return out;
}

std::string Certificate::pem() const {
  const BioHandle out{::BIO_new(::BIO_s_mem())};
  if (!out || ::PEM_write_bio_X509(out.get(), handle_.get()) != 1) return {};
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out.get(), &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

std::string Certificate::der() const {
  unsigned char* bytes = nullptr;
  const int size = ::i2d_X509(handle_.get(), &bytes);
  if (size < 0) return {};
  std::string out{reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)};
  ::OPENSSL_free(bytes);
  return out;
}

std::string format_time(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  std::array<char, 40> text{};
  if (::gmtime_r(&time, &parts) == nullptr) return "?";
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

bool is_address(const std::string& host) {
  std::array<unsigned char, 16> octets{};
  return ::inet_pton(AF_INET, host.c_str(), octets.data()) == 1 || ::inet_pton(AF_INET6, host.c_str(), octets.data()) == 1;
}

}  // namespace qpop::tls
