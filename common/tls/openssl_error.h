// SPDX-License-Identifier: MIT
// What OpenSSL said last, as an error of ours.
#pragma once

#include "common/base/error.h"

namespace qpop::tls {

/// Empties OpenSSL's queue of errors; the first of them, which is the cause, is the text. `kind`: what it means to the caller.
[[nodiscard]] base::Error openssl_error(base::ErrorKind kind, std::string_view what);

}  // namespace qpop::tls
