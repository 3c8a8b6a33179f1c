// SPDX-License-Identifier: MIT
// The two MD5 states of HMAC through nettle.
#include "common/digest/hmac_state.h"

#include <nettle/hmac.h>

#include <cstdint>
#include <cstring>

#include "common/digest/digest.h"

namespace qpop::digest {

namespace {

void append_hex(std::string& text, const md5_ctx& context) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const std::uint32_t word : context.state) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      text += kHex[(word >> (shift + 4)) & 0xFU];
      text += kHex[(word >> shift) & 0xFU];
    }
  }
}

}  // namespace

std::string hmac_md5_state_hex(std::string_view key) {
  ++work().hmacs;
  hmac_md5_ctx context;
  hmac_md5_set_key(&context, key.size(), reinterpret_cast<const std::uint8_t*>(key.data()));
  std::string text;
  text.reserve(kHmacStateDigits);
  append_hex(text, context.outer);
  append_hex(text, context.inner);
  ::explicit_bzero(&context, sizeof context);
  return text;
}

}  // namespace qpop::digest
