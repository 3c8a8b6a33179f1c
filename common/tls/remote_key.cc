// SPDX-License-Identifier: MIT
// The provider: key management that forwards to a public key of the default provider, and signatures that are asked for elsewhere.
//
// The tables at the end are what OpenSSL calls; each entry is a C function, no exception leaves it.
// Source: provider-keymgmt(7), provider-signature(7), provider-base(7) of OpenSSL 3.0.
#include "common/tls/remote_key.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include <array>
#include <cstring>
#include <exception>
#include <optional>

#include "common/tls/openssl_error.h"

namespace qpop::tls {

namespace {

using base::Error;
using base::ErrorKind;

constexpr const char* kProvider = "qpop";
constexpr const char* kOurs = "provider=qpop";
constexpr const char* kDefault = "provider=default";
constexpr const char* kNumber = "qpop-key-number";

using Pkey = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;

Sign& the_signer() {
  static Sign sign;
  return sign;
}

struct Digest {
  SignedDigest id;
  const char* name;
  std::size_t octets;
};
constexpr std::array kDigests{Digest{SignedDigest::sha256, "SHA256", 32}, Digest{SignedDigest::sha384, "SHA384", 48}, Digest{SignedDigest::sha512, "SHA512", 64}};

const Digest& row_of(SignedDigest id) { return kDigests.at(static_cast<std::size_t>(id)); }

const Digest* find_digest(const char* name) {
  const std::unique_ptr<EVP_MD, Deleter<EVP_MD_free>> wanted{::EVP_MD_fetch(nullptr, name, nullptr)};
  for (const auto& row : kDigests) {
    if (wanted && EVP_MD_is_a(wanted.get(), row.name) == 1) return &row;
  }
  return nullptr;
}

// Key management.

struct RemoteKey {
  const char* type = nullptr;  // "EC" or "RSA"
  KeyHandle public_half;
  std::optional<std::uint32_t> number;  // empty: a public key that is only compared with
};

void* new_key(const char* type) {
  try {
    auto key = std::make_unique<RemoteKey>();
    key->type = type;
    return key.release();
  } catch (const std::exception&) {
    return nullptr;
  }
}
void* new_ec(void* /*provider*/) { return new_key("EC"); }
void* new_rsa(void* /*provider*/) { return new_key("RSA"); }
void free_key(void* key) { std::unique_ptr<RemoteKey>{static_cast<RemoteKey*>(key)}; }

int has(const void* data, int selection) {
  const auto* key = static_cast<const RemoteKey*>(data);
  if (key == nullptr || !key->public_half) return 0;
  return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || key->number.has_value() ? 1 : 0;
}

int match(const void* a, const void* b, int /*selection*/) {
  const auto* one = static_cast<const RemoteKey*>(a);
  const auto* other = static_cast<const RemoteKey*>(b);
  return one->public_half && other->public_half && ::EVP_PKEY_eq(one->public_half.get(), other->public_half.get()) == 1 ? 1 : 0;
}

int import_key(void* data, int /*selection*/, const OSSL_PARAM* params) {
  auto* key = static_cast<RemoteKey*>(data);
  const Pkey context{::EVP_PKEY_CTX_new_from_name(nullptr, key->type, kDefault)};
  EVP_PKEY* made = nullptr;
  // The library does not write to them.
  if (!context || ::EVP_PKEY_fromdata_init(context.get()) != 1 ||
      ::EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, const_cast<OSSL_PARAM*>(params)) != 1)
    return 0;
  key->public_half.reset(made);
  std::uint32_t number = 0;
  const OSSL_PARAM* given = ::OSSL_PARAM_locate_const(params, kNumber);
  if (given != nullptr && ::OSSL_PARAM_get_uint32(given, &number) == 1) key->number = number;
  return 1;
}

constexpr OSSL_PARAM text(const char* name) { return {name, OSSL_PARAM_UTF8_STRING, nullptr, 0, OSSL_PARAM_UNMODIFIED}; }
constexpr OSSL_PARAM octets(const char* name) { return {name, OSSL_PARAM_OCTET_STRING, nullptr, 0, OSSL_PARAM_UNMODIFIED}; }
constexpr OSSL_PARAM number(const char* name) { return {name, OSSL_PARAM_UNSIGNED_INTEGER, nullptr, 0, OSSL_PARAM_UNMODIFIED}; }
constexpr OSSL_PARAM integer(const char* name) { return {name, OSSL_PARAM_INTEGER, nullptr, 0, OSSL_PARAM_UNMODIFIED}; }
constexpr OSSL_PARAM kEnd{nullptr, 0, nullptr, 0, 0};

const OSSL_PARAM* import_types(int /*selection*/) {
  static constexpr std::array kTypes{text(OSSL_PKEY_PARAM_GROUP_NAME), octets(OSSL_PKEY_PARAM_PUB_KEY), number(OSSL_PKEY_PARAM_RSA_N),
                                     number(OSSL_PKEY_PARAM_RSA_E), number(kNumber), kEnd};
  return kTypes.data();
}

int get_params(void* data, OSSL_PARAM* params) {
  const auto* key = static_cast<const RemoteKey*>(data);
  return key->public_half ? ::EVP_PKEY_get_params(key->public_half.get(), params) : 0;
}

const OSSL_PARAM* gettable(void* /*provider*/) {
  static constexpr std::array kTypes{integer(OSSL_PKEY_PARAM_BITS),         integer(OSSL_PKEY_PARAM_SECURITY_BITS), integer(OSSL_PKEY_PARAM_MAX_SIZE),
                                     text(OSSL_PKEY_PARAM_DEFAULT_DIGEST),  text(OSSL_PKEY_PARAM_GROUP_NAME),       text(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT),
                                     octets(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY), kEnd};
  return kTypes.data();
}

const char* ec_operation(int operation) { return operation == OSSL_OP_SIGNATURE ? "ECDSA" : nullptr; }
const char* rsa_operation(int operation) { return operation == OSSL_OP_SIGNATURE ? "RSA" : nullptr; }

// Signatures.

struct Signing {
  const RemoteKey* key = nullptr;  // the library keeps it alive
  const Digest* digest = nullptr;
  bool pss = false;
};

void* new_signing(void* /*provider*/, const char* /*properties*/) {
  try {
    return std::make_unique<Signing>().release();
  } catch (const std::exception&) {
    return nullptr;
  }
}
void free_signing(void* signing) { std::unique_ptr<Signing>{static_cast<Signing*>(signing)}; }

void* copy_signing(void* signing) {
  try {
    return std::make_unique<Signing>(*static_cast<const Signing*>(signing)).release();
  } catch (const std::exception&) {
    return nullptr;
  }
}

/// Padding comes as a word or as a number, a salt length as a word or as digits.
bool is_pss(const OSSL_PARAM& given, bool& pss) {
  if (given.data_type == OSSL_PARAM_UTF8_STRING) {
    const char* word = nullptr;
    if (::OSSL_PARAM_get_utf8_string_ptr(&given, &word) != 1 || word == nullptr) return false;
    pss = std::strcmp(word, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
    return pss || std::strcmp(word, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0;
  }
  int mode = 0;
  if (::OSSL_PARAM_get_int(&given, &mode) != 1) return false;
  pss = mode == RSA_PKCS1_PSS_PADDING;
  return pss || mode == RSA_PKCS1_PADDING;
}

bool is_digest_length(const OSSL_PARAM& given) {
  if (given.data_type == OSSL_PARAM_UTF8_STRING) {
    const char* word = nullptr;
    return ::OSSL_PARAM_get_utf8_string_ptr(&given, &word) == 1 && word != nullptr && std::strcmp(word, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0;
  }
  int length = 0;
  return ::OSSL_PARAM_get_int(&given, &length) == 1 && length == RSA_PSS_SALTLEN_DIGEST;
}

/// Whatever TLS does not use is refused: it would not come out as asked for.
int set_signing(void* data, const OSSL_PARAM* params) {
  auto* signing = static_cast<Signing*>(data);
  if (params == nullptr) return 1;
  const OSSL_PARAM* pad = ::OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
  if (pad != nullptr && !is_pss(*pad, signing->pss)) return 0;
  const OSSL_PARAM* salt = ::OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
  if (salt != nullptr && !is_digest_length(*salt)) return 0;
  return ::OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST) == nullptr ? 1 : 0;
}

const OSSL_PARAM* settable_signing(void* /*signing*/, void* /*provider*/) {
  static constexpr std::array kTypes{text(OSSL_SIGNATURE_PARAM_PAD_MODE), text(OSSL_SIGNATURE_PARAM_PSS_SALTLEN), kEnd};
  return kTypes.data();
}

int begin_signing(void* data, const char* digest, void* key, const OSSL_PARAM* params) {
  auto* signing = static_cast<Signing*>(data);
  if (key != nullptr) signing->key = static_cast<const RemoteKey*>(key);
  if (signing->key == nullptr || !signing->key->number || digest == nullptr) return 0;
  signing->digest = find_digest(digest);
  return signing->digest != nullptr ? set_signing(data, params) : 0;
}

base::Result<std::string> ask(const Signing& signing, const unsigned char* bytes, std::size_t size) {
  SignRequest request;
  request.key = *signing.key->number;
  request.digest = signing.digest->id;
  request.scheme = std::strcmp(signing.key->type, "EC") == 0 ? Scheme::ecdsa : signing.pss ? Scheme::rsa_pss : Scheme::rsa_pkcs1;
  request.octets.resize(signing.digest->octets);
  std::size_t length = 0;
  if (::EVP_Q_digest(nullptr, signing.digest->name, nullptr, bytes, size, reinterpret_cast<unsigned char*>(request.octets.data()), &length) != 1 ||
      length != request.octets.size() || !the_signer())
    return Error{ErrorKind::io, "hash for a signature"};
  return the_signer()(request);
}

int sign(void* data, unsigned char* out, std::size_t* length, std::size_t room, const unsigned char* bytes, std::size_t size) {
  const auto& signing = *static_cast<const Signing*>(data);
  if (signing.key == nullptr || signing.digest == nullptr) return 0;
  if (out == nullptr) {
    *length = static_cast<std::size_t>(::EVP_PKEY_get_size(signing.key->public_half.get()));
    return 1;
  }
  try {
    const auto signature = ask(signing, bytes, size);
    if (!signature || signature->size() > room) return 0;
    std::memcpy(out, signature->data(), signature->size());
    *length = signature->size();
    return 1;
  } catch (const std::exception&) {
    return 0;
  }
}

// Tables.

template <class Function>
OSSL_DISPATCH entry(int id, Function* function) {
  return {id, reinterpret_cast<void (*)()>(function)};
}

const OSSL_DISPATCH* key_functions(bool ec) {
  static const auto make = [](bool is_ec) {
    return std::array{entry(OSSL_FUNC_KEYMGMT_NEW, is_ec ? new_ec : new_rsa),
                      entry(OSSL_FUNC_KEYMGMT_FREE, free_key),
                      entry(OSSL_FUNC_KEYMGMT_HAS, has),
                      entry(OSSL_FUNC_KEYMGMT_MATCH, match),
                      entry(OSSL_FUNC_KEYMGMT_IMPORT, import_key),
                      entry(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, import_types),
                      entry(OSSL_FUNC_KEYMGMT_GET_PARAMS, get_params),
                      entry(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, gettable),
                      entry(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, is_ec ? ec_operation : rsa_operation),
                      OSSL_DISPATCH{0, nullptr}};
  };
  static const auto of_ec = make(true);
  static const auto of_rsa = make(false);
  return ec ? of_ec.data() : of_rsa.data();
}

const OSSL_DISPATCH* signature_functions() {
  static const std::array kFunctions{entry(OSSL_FUNC_SIGNATURE_NEWCTX, new_signing),
                                     entry(OSSL_FUNC_SIGNATURE_FREECTX, free_signing),
                                     entry(OSSL_FUNC_SIGNATURE_DUPCTX, copy_signing),
                                     entry(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, begin_signing),
                                     entry(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, sign),
                                     entry(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, set_signing),
                                     entry(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, settable_signing),
                                     OSSL_DISPATCH{0, nullptr}};
  return kFunctions.data();
}

const OSSL_ALGORITHM* query(void* /*provider*/, int operation, int* no_cache) {
  static const std::array kKeys{OSSL_ALGORITHM{"EC:id-ecPublicKey:1.2.840.10045.2.1", kOurs, key_functions(true), nullptr},
                                OSSL_ALGORITHM{"RSA:rsaEncryption:1.2.840.113549.1.1.1", kOurs, key_functions(false), nullptr},
                                OSSL_ALGORITHM{nullptr, nullptr, nullptr, nullptr}};
  static const std::array kSignatures{OSSL_ALGORITHM{"ECDSA", kOurs, signature_functions(), nullptr},
                                      OSSL_ALGORITHM{"RSA:rsaEncryption:1.2.840.113549.1.1.1", kOurs, signature_functions(), nullptr},
                                      OSSL_ALGORITHM{nullptr, nullptr, nullptr, nullptr}};
  *no_cache = 0;
  return operation == OSSL_OP_KEYMGMT ? kKeys.data() : operation == OSSL_OP_SIGNATURE ? kSignatures.data() : nullptr;
}

void tear_down(void* /*provider*/) {}

int initialise(const OSSL_CORE_HANDLE* /*core*/, const OSSL_DISPATCH* /*from_core*/, const OSSL_DISPATCH** out, void** context) {
  static const std::array kFunctions{entry(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query), entry(OSSL_FUNC_PROVIDER_TEARDOWN, tear_down), OSSL_DISPATCH{0, nullptr}};
  static char here = 0;
  *out = kFunctions.data();
  *context = &here;
  return 1;
}

bool prepare_to_sign(EVP_PKEY_CTX* context, const SignRequest& request) {
  const std::unique_ptr<EVP_MD, Deleter<EVP_MD_free>> digest{::EVP_MD_fetch(nullptr, row_of(request.digest).name, nullptr)};
  if (!digest || ::EVP_PKEY_sign_init(context) != 1) return false;
  if (request.scheme != Scheme::ecdsa) {
    const int padding = request.scheme == Scheme::rsa_pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;
    if (::EVP_PKEY_CTX_set_rsa_padding(context, padding) != 1) return false;
  }
  if (::EVP_PKEY_CTX_set_signature_md(context, digest.get()) != 1) return false;
  return request.scheme != Scheme::rsa_pss || ::EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

}  // namespace

std::size_t octets_of(SignedDigest digest) { return row_of(digest).octets; }

base::Status enable_remote_keys(Sign sign) {
  the_signer() = std::move(sign);
  using Provider = std::unique_ptr<OSSL_PROVIDER, decltype([](OSSL_PROVIDER* provider) { ::OSSL_PROVIDER_unload(provider); })>;
  static Provider standard;  // for the life of the process
  static Provider ours;
  if (::OSSL_PROVIDER_add_builtin(nullptr, kProvider, initialise) != 1) return openssl_error(ErrorKind::io, "add the provider of remote keys");
  // Loading one provider by name ends the silent loading of the default one.
  standard.reset(::OSSL_PROVIDER_load(nullptr, "default"));
  ours.reset(::OSSL_PROVIDER_load(nullptr, kProvider));
  if (!standard || !ours) return openssl_error(ErrorKind::io, "load the provider of remote keys");
  // A preference, no rule: what only we offer is still found.
  if (::EVP_set_default_properties(nullptr, "?provider=default") != 1) return openssl_error(ErrorKind::io, "prefer the default provider");
  return {};
}

base::Result<KeyHandle> make_remote_key(std::uint32_t number, const EVP_PKEY& public_key) {
  const bool ec = EVP_PKEY_is_a(&public_key, "EC") == 1;
  if (!ec && EVP_PKEY_is_a(&public_key, "RSA") != 1) return Error{ErrorKind::unsupported, "neither an RSA nor an EC key"};
  OSSL_PARAM* given = nullptr;
  if (::EVP_PKEY_todata(&public_key, EVP_PKEY_PUBLIC_KEY, &given) != 1) return openssl_error(ErrorKind::io, "take the public key apart");
  const std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>> parts{given};
  std::array numbered{::OSSL_PARAM_construct_uint32(kNumber, &number), ::OSSL_PARAM_construct_end()};
  const std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>> all{::OSSL_PARAM_merge(parts.get(), numbered.data())};
  const Pkey context{::EVP_PKEY_CTX_new_from_name(nullptr, ec ? "EC" : "RSA", kOurs)};
  EVP_PKEY* made = nullptr;
  if (!all || !context || ::EVP_PKEY_fromdata_init(context.get()) != 1 || ::EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_KEYPAIR, all.get()) != 1)
    return openssl_error(ErrorKind::io, "make a remote key");
  return KeyHandle{made};
}

base::Result<std::string> sign_digest(EVP_PKEY& key, const SignRequest& request) {
  const bool ec = EVP_PKEY_is_a(&key, "EC") == 1;
  if (static_cast<std::size_t>(request.digest) >= kDigests.size() || request.octets.size() != octets_of(request.digest) || ec != (request.scheme == Scheme::ecdsa) ||
      static_cast<std::uint32_t>(request.scheme) > static_cast<std::uint32_t>(Scheme::rsa_pss))
    return Error{ErrorKind::malformed, "a signature that TLS does not use"};
  const Pkey context{::EVP_PKEY_CTX_new_from_pkey(nullptr, &key, nullptr)};
  const auto* digest = reinterpret_cast<const unsigned char*>(request.octets.data());
  std::size_t size = 0;
  if (!context || !prepare_to_sign(context.get(), request) || ::EVP_PKEY_sign(context.get(), nullptr, &size, digest, request.octets.size()) != 1)
    return openssl_error(ErrorKind::io, "sign");
  std::string out(size, '\0');
  if (::EVP_PKEY_sign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, digest, request.octets.size()) != 1) return openssl_error(ErrorKind::io, "sign");
  out.resize(size);
  return out;
}

}  // namespace qpop::tls
