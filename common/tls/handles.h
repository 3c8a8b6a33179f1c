// SPDX-License-Identifier: MIT
// OpenSSL's objects with an owner each.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

namespace qpop::tls {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

/// A macro of OpenSSL, so it needs a function around it.
inline void free_general_names(GENERAL_NAMES* names) { GENERAL_NAMES_free(names); }
/// The certificates in it are ours as well.
inline void free_stack(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }
inline void free_extensions(STACK_OF(X509_EXTENSION) * stack) { sk_X509_EXTENSION_pop_free(stack, X509_EXTENSION_free); }

using KeyHandle = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using X509Handle = std::unique_ptr<X509, Deleter<X509_free>>;
using RequestHandle = std::unique_ptr<X509_REQ, Deleter<X509_REQ_free>>;
using BioMethodHandle = std::unique_ptr<BIO_METHOD, Deleter<BIO_meth_free>>;
using BioHandle = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using ExtensionHandle = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using ExtensionsHandle = std::unique_ptr<STACK_OF(X509_EXTENSION), Deleter<free_extensions>>;
using NamesHandle = std::unique_ptr<GENERAL_NAMES, Deleter<free_general_names>>;
using StackHandle = std::unique_ptr<STACK_OF(X509), Deleter<free_stack>>;
using Pkcs12Handle = std::unique_ptr<PKCS12, Deleter<PKCS12_free>>;
using Pkcs7Handle = std::unique_ptr<PKCS7, Deleter<PKCS7_free>>;
using NumberHandle = std::unique_ptr<ASN1_INTEGER, Deleter<ASN1_INTEGER_free>>;

}  // namespace qpop::tls
