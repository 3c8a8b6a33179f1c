// SPDX-License-Identifier: MIT
// Compiled for AVX2 (CMakeLists.txt); see the header for what must not be included here.
#include "common/digest/xxh3_avx2.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace qpop::digest::avx2 {

std::uint64_t xxh3_64(const void* octets, std::size_t size, std::uint64_t seed) { return XXH3_64bits_withSeed(octets, size, seed); }

bool xxh3_128_update(void* state, const void* octets, std::size_t size) {
  return XXH3_128bits_update(static_cast<XXH3_state_t*>(state), octets, size) == XXH_OK;
}

}  // namespace qpop::digest::avx2
