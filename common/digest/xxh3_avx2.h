// SPDX-License-Identifier: MIT
// XXH3 with the wide registers of newer processors: the library has it for those alone that every processor has. Results are the same.
//
// Only where has_avx2() says so. Its source includes nothing but xxhash.h: what a standard header has inline would be compiled for AVX2 too, and
// the linker may take that copy for all.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qpop::digest::avx2 {

#if defined(__x86_64__)
[[nodiscard]] inline bool has_avx2() { return __builtin_cpu_supports("avx2") != 0; }
#else
[[nodiscard]] inline bool has_avx2() { return false; }
#endif

[[nodiscard]] std::uint64_t xxh3_64(const void* octets, std::size_t size, std::uint64_t seed);
/// `state` is an XXH3_state_t that the library made and resets. false: it cannot be.
[[nodiscard]] bool xxh3_128_update(void* state, const void* octets, std::size_t size);

}  // namespace qpop::digest::avx2
