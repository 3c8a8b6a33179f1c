// SPDX-License-Identifier: MIT
// OpenSSL's queue of errors.
#include "common/tls/openssl_error.h"

#include <openssl/err.h>

#include "common/base/text.h"

namespace qpop::tls {

base::Error openssl_error(base::ErrorKind kind, std::string_view what) {
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ::ERR_reason_error_string(code);
  return base::Error{kind, reason == nullptr ? "refused by the TLS library" : base::escape_untrusted(reason)}.at(what);
}

}  // namespace qpop::tls
