// SPDX-License-Identifier: MIT
// What processes hand to each other about TLS, made up: proofs of clients (no made-up one is ever accepted), profiles, certificate files.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/tls/bundle.h"
#include "common/tls/client_proof.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qpop::tls;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  static const Profile nobody;
  if (verify_client(text, nobody, 0)) std::abort();
  HandshakeRecorder recorder;
  for (std::size_t at = 0; at < size; at += 100) recorder.add(text.substr(at, 100));
  if (verify_client(recorder.proof(), nobody, 0)) std::abort();
  if (const auto profile = decode(text)) {
    const auto again = decode(encode(*profile));
    if (!again || again->identities.size() != profile->identities.size() || again->ciphers != profile->ciphers) std::abort();
  }
  (void)read_bundle(text);
  return 0;
}
