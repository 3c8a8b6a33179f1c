// SPDX-License-Identifier: MIT
// HMAC-MD5 of a key before any data: what Dovecot's scheme {CRAM-MD5} keeps of a password.
//
// Through nettle, whose MD5 state is public; OpenSSL 3 shows its own in deprecated calls only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace qpop::digest {

inline constexpr std::size_t kHmacStateDigits = 64;

/// kHmacStateDigits lower-case hexadecimal digits: the state of the outer MD5 after its first block, then that of the
/// inner one, little-endian words. Who has it can log in by CRAM-MD5.
/// Source  RFC 2195 section 2, RFC 2104 section 4; the output of `doveadm pw -s CRAM-MD5`.
[[nodiscard]] std::string hmac_md5_state_hex(std::string_view key);

}  // namespace qpop::digest
