// SPDX-License-Identifier: MIT
// One form after another is tried; PEM first, because it says what it is.
#include "common/tls/bundle.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "common/tls/openssl_error.h"

namespace qpop::tls {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct FreeOpenssl {
  void operator()(void* memory) const { ::OPENSSL_free(memory); }
};
template <class T>
using Memory = std::unique_ptr<T, FreeOpenssl>;

int give_pass_phrase(char* out, int room, int /*writing*/, void* argument) {
  const auto& ask = *static_cast<const PassPhrase*>(argument);
  std::string text = ask ? ask() : std::string{};
  // An empty one would be tried as such: 0 says that there is none.
  const int size = std::min(room, static_cast<int>(text.size()));
  std::memcpy(out, text.data(), static_cast<std::size_t>(size));
  ::OPENSSL_cleanse(text.data(), text.size());
  return size == 0 ? -1 : size;
}

const unsigned char* octets_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

void add_stack(const STACK_OF(X509) * stack, Bundle& out) {
  for (int i = 0; stack != nullptr && i < sk_X509_num(stack); ++i) {
    X509* certificate = sk_X509_value(stack, i);
    ::X509_up_ref(certificate);
    out.certificates.emplace_back(X509Handle{certificate});
  }
}

bool add_pkcs7(const unsigned char* bytes, long size, Bundle& out) {
  const Pkcs7Handle pkcs7{::d2i_PKCS7(nullptr, &bytes, size)};
  if (!pkcs7) return false;
  if (PKCS7_type_is_signed(pkcs7.get())) add_stack(pkcs7->d.sign->cert, out);
  return !out.certificates.empty();
}

/// One PEM block whose base64 has been decoded.
bool add_block(std::string_view name, const unsigned char* bytes, long size, const std::string& text, const PassPhrase& ask, Bundle& out) {
  if (name == PEM_STRING_X509 || name == PEM_STRING_X509_OLD || name == PEM_STRING_X509_TRUSTED) {
    X509Handle certificate{::d2i_X509_AUX(nullptr, &bytes, size)};
    if (!certificate) return false;
    out.certificates.emplace_back(std::move(certificate));
    return true;
  }
  if (name == PEM_STRING_PKCS7 || name == "CERTIFICATE CHAIN") return add_pkcs7(bytes, size, out);
  if (!name.ends_with("PRIVATE KEY")) return true;  // parameters, requests, public keys: not for us
  const BioHandle in{::BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
  KeyHandle key{::PEM_read_bio_PrivateKey(in.get(), nullptr, give_pass_phrase, const_cast<PassPhrase*>(&ask))};
  if (key) {
    out.keys.push_back(std::move(key));
    return true;
  }
  const bool encrypted = name.starts_with("ENCRYPTED") || text.find("ENCRYPTED") != std::string::npos;
  out.encrypted_keys += encrypted ? 1U : 0U;
  return encrypted;
}

/// The blocks are cut out by ourselves: OpenSSL's reader stops at the first one it dislikes.
void add_pem(std::string_view text, const PassPhrase& ask, Bundle& out) {
  static constexpr std::string_view kBegin = "-----BEGIN ";
  for (auto at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin, at + 1)) {
    const auto end_name = text.find("-----", at + kBegin.size());
    if (end_name == std::string_view::npos) break;
    const std::string name{text.substr(at + kBegin.size(), end_name - at - kBegin.size())};
    const std::string end_line = "-----END " + name + "-----";
    const auto end = text.find(end_line, end_name);
    // A block that was cut off must not swallow the next one.
    const bool cut_off = end == std::string_view::npos || text.find(kBegin, end_name) < end;
    if (cut_off || name.find('\n') != std::string::npos) {
      ++out.damaged_blocks;
      continue;
    }
    const std::string block = std::string{text.substr(at, end + end_line.size() - at)} + "\n";
    const BioHandle in{::BIO_new_mem_buf(block.data(), static_cast<int>(block.size()))};
    char* read_name = nullptr;
    char* header = nullptr;
    unsigned char* bytes = nullptr;
    long size = 0;
    const bool read = in && ::PEM_read_bio(in.get(), &read_name, &header, &bytes, &size) == 1;
    const Memory<char> name_owner{read_name};
    const Memory<char> header_owner{header};
    const Memory<unsigned char> bytes_owner{bytes};
    if (!read || !add_block(name, bytes, size, block, ask, out)) ++out.damaged_blocks;
    if (bytes != nullptr) ::OPENSSL_cleanse(bytes, static_cast<std::size_t>(size));
    at = end;
  }
}

base::Status add_pkcs12(std::string_view octets, const PassPhrase& ask, Bundle& out) {
  const unsigned char* bytes = octets_of(octets);
  const Pkcs12Handle pkcs12{::d2i_PKCS12(nullptr, &bytes, static_cast<long>(octets.size()))};
  if (!pkcs12) return {};
  out.form = Form::pkcs12;
  std::string pass_phrase;
  if (::PKCS12_verify_mac(pkcs12.get(), "", 0) != 1 && ::PKCS12_verify_mac(pkcs12.get(), nullptr, 0) != 1 && ask) pass_phrase = ask();
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
  STACK_OF(X509)* others = nullptr;
  const bool opened = ::PKCS12_parse(pkcs12.get(), pass_phrase.c_str(), &key, &certificate, &others) == 1;
  ::OPENSSL_cleanse(pass_phrase.data(), pass_phrase.size());
  KeyHandle key_owner{key};
  X509Handle certificate_owner{certificate};
  const StackHandle others_owner{others};
  if (!opened) return openssl_error(base::ErrorKind::denied, "open the PKCS#12 file");
  if (key_owner) out.keys.push_back(std::move(key_owner));
  if (certificate_owner) out.certificates.emplace_back(std::move(certificate_owner));
  add_stack(others, out);
  return {};
}

base::Status add_binary(std::string_view octets, const PassPhrase& ask, Bundle& out) {
  const auto size = static_cast<long>(octets.size());
  const unsigned char* bytes = octets_of(octets);
  if (X509Handle certificate{::d2i_X509(nullptr, &bytes, size)}; certificate) {
    out.form = Form::der;
    out.certificates.emplace_back(std::move(certificate));
    return {};
  }
  if (add_pkcs7(octets_of(octets), size, out)) {
    out.form = Form::pkcs7;
    return {};
  }
  bytes = octets_of(octets);
  if (KeyHandle key{::d2i_AutoPrivateKey(nullptr, &bytes, size)}; key) {
    out.form = Form::der;
    out.keys.push_back(std::move(key));
    return {};
  }
  return add_pkcs12(octets, ask, out);
}

}  // namespace

base::Result<Bundle> read_bundle(std::string_view octets, const PassPhrase& pass_phrase) {
  if (octets.size() > kMostBundleOctets) return base::Error{base::ErrorKind::malformed, "too large for certificates"};
  Bundle out;
  out.byte_order_mark = octets.starts_with(kByteOrderMark);
  if (octets.find("-----BEGIN ") != std::string_view::npos) {
    out.windows_line_ends = octets.find("\r\n") != std::string_view::npos;
    add_pem(octets, pass_phrase, out);
  } else if (!octets.empty()) {
    if (auto done = add_binary(octets, pass_phrase, out); !done) return done.error();
  }
  ::ERR_clear_error();
  return out;
}

}  // namespace qpop::tls
