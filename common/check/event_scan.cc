// SPDX-License-Identifier: MIT
// Events by compares of shifted loads: "F" with a blank four octets on, ":" with another three on.
#include "common/check/event_scan.h"

#include <bit>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace qpop::check {

namespace {

bool is_event(const char* at, bool delimiters) {
  switch (*at) {
    case '\0':
    case '\x01':
      return true;
    case 'F':
      return at[4] == ' ' && std::memcmp(at, "From ", 5) == 0;
    case ':':
      return at[3] == ':';
    case '-':
      return delimiters && at[1] == '-' && at[-1] == '\n';
    default:
      return false;
  }
}

void count(const char* at, LineCounts& counts) {
  if (*at == '\n') ++counts.lf;
  if (*at != '\r') return;
  ++counts.cr;
  if (at[1] == '\n') ++counts.crlf;
}

std::size_t next_slowly(const char* data, std::size_t from, std::size_t to, bool delimiters, LineCounts& counts) {
  for (; from < to; ++from) {
    if (is_event(data + from, delimiters)) return from;
    count(data + from, counts);
  }
  return to;
}

#if defined(__SSE2__)
/// The plain run of Sse2 on 32 octets at once, for processors that can.
template <bool kDelimiters>
__attribute__((target("avx2"))) std::size_t run_avx2(const char* data, std::size_t from, std::size_t to, LineCounts& counts) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i sums = zero;
  for (; to - from >= 32; from += 32) {
    const char* at = data + from;
    const __m256i here = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i four_on = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 4));
    const __m256i three_on = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 3));
    __m256i odd = _mm256_cmpeq_epi8(_mm256_and_si256(here, _mm256_set1_epi8(~1)), zero);
    odd = _mm256_or_si256(odd, _mm256_cmpeq_epi8(here, _mm256_set1_epi8('\r')));
    odd = _mm256_or_si256(odd, _mm256_and_si256(_mm256_cmpeq_epi8(here, _mm256_set1_epi8('F')), _mm256_cmpeq_epi8(four_on, _mm256_set1_epi8(' '))));
    odd = _mm256_or_si256(odd, _mm256_and_si256(_mm256_cmpeq_epi8(here, _mm256_set1_epi8(':')), _mm256_cmpeq_epi8(three_on, _mm256_set1_epi8(':'))));
    if constexpr (kDelimiters) {
      const __m256i dash = _mm256_set1_epi8('-');
      const __m256i next = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 1));
      const __m256i last = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at - 1));
      const __m256i both = _mm256_and_si256(_mm256_cmpeq_epi8(here, dash), _mm256_cmpeq_epi8(next, dash));
      odd = _mm256_or_si256(odd, _mm256_and_si256(both, _mm256_cmpeq_epi8(last, _mm256_set1_epi8('\n'))));
    }
    if (_mm256_movemask_epi8(odd) != 0) break;
    const __m256i ends = _mm256_and_si256(_mm256_cmpeq_epi8(here, _mm256_set1_epi8('\n')), _mm256_set1_epi8(1));
    sums += _mm256_sad_epu8(ends, zero);
  }
  alignas(32) std::uint64_t all[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(all), sums);
  counts.lf += all[0] + all[1] + all[2] + all[3];
  return from;
}

template <bool kDelimiters>
struct Sse2 {
  static constexpr std::size_t kStep = 32;

  static __m128i load(const char* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }

  static __m128i events(const char* at, __m128i here) {
    // NUL and 0x01.
    __m128i out = _mm_cmpeq_epi8(_mm_and_si128(here, _mm_set1_epi8(~1)), _mm_setzero_si128());
    const __m128i from = _mm_and_si128(_mm_cmpeq_epi8(here, _mm_set1_epi8('F')), _mm_cmpeq_epi8(load(at + 4), _mm_set1_epi8(' ')));
    const __m128i time = _mm_and_si128(_mm_cmpeq_epi8(here, _mm_set1_epi8(':')), _mm_cmpeq_epi8(load(at + 3), _mm_set1_epi8(':')));
    out = _mm_or_si128(out, _mm_or_si128(from, time));
    if constexpr (kDelimiters) {
      const __m128i dash = _mm_set1_epi8('-');
      const __m128i both = _mm_and_si128(_mm_cmpeq_epi8(here, dash), _mm_cmpeq_epi8(load(at + 1), dash));
      out = _mm_or_si128(out, _mm_and_si128(both, _mm_cmpeq_epi8(load(at - 1), _mm_set1_epi8('\n'))));
    }
    return out;
  }

  /// Octets at the front of [from, to) in whole steps without an event and without CR; their LF are counted.
  static std::size_t run(const char* data, std::size_t from, std::size_t to, LineCounts& counts) {
    const __m128i lf = _mm_set1_epi8('\n');
    const __m128i cr = _mm_set1_epi8('\r');
    const __m128i one = _mm_set1_epi8(1);
    const __m128i zero = _mm_setzero_si128();
    __m128i sums = zero;
    for (; to - from >= kStep; from += kStep) {
      const char* at = data + from;
      const __m128i a = load(at);
      const __m128i b = load(at + 16);
      __m128i odd = _mm_or_si128(events(at, a), events(at + 16, b));
      odd = _mm_or_si128(odd, _mm_or_si128(_mm_cmpeq_epi8(a, cr), _mm_cmpeq_epi8(b, cr)));
      if (_mm_movemask_epi8(odd) != 0) break;
      // At most 2 in an octet: the sum of the eight in a lane carries nothing over.
      const __m128i ends = _mm_and_si128(_mm_cmpeq_epi8(a, lf), one) + _mm_and_si128(_mm_cmpeq_epi8(b, lf), one);
      sums += _mm_sad_epu8(ends, zero);
    }
    alignas(16) std::uint64_t both[2];
    _mm_store_si128(reinterpret_cast<__m128i*>(both), sums);
    counts.lf += both[0] + both[1];
    return from;
  }

  static std::uint32_t mask(__m128i a, __m128i b) {
    return static_cast<std::uint32_t>(_mm_movemask_epi8(a)) | static_cast<std::uint32_t>(_mm_movemask_epi8(b)) << 16U;
  }

  static std::size_t next(const char* data, std::size_t from, std::size_t to, LineCounts& counts, bool avx2) {
    const __m128i lf = _mm_set1_epi8('\n');
    const __m128i cr = _mm_set1_epi8('\r');
    for (;;) {
      from = avx2 ? run_avx2<kDelimiters>(data, from, to, counts) : run(data, from, to, counts);
      if (to - from < kStep) return next_slowly(data, from, to, kDelimiters, counts);
      const char* at = data + from;
      const __m128i a = load(at);
      const __m128i b = load(at + 16);
      std::uint32_t found = mask(events(at, a), events(at + 16, b));
      while (found != 0 && !is_event(at + std::countr_zero(found), kDelimiters)) found &= found - 1;
      const std::uint32_t before = found == 0 ? ~0U : (1U << static_cast<unsigned>(std::countr_zero(found))) - 1U;
      const std::uint32_t lfs = mask(_mm_cmpeq_epi8(a, lf), _mm_cmpeq_epi8(b, lf));
      const std::uint32_t crs = mask(_mm_cmpeq_epi8(a, cr), _mm_cmpeq_epi8(b, cr)) & before;
      counts.lf += static_cast<unsigned>(std::popcount(lfs & before));
      if (crs != 0) {
        counts.cr += static_cast<unsigned>(std::popcount(crs));
        const std::uint32_t next_lf = lfs >> 1U | (at[kStep] == '\n' ? 1U << 31U : 0U);
        counts.crlf += static_cast<unsigned>(std::popcount(crs & next_lf));
      }
      if (found != 0) return from + static_cast<std::size_t>(std::countr_zero(found));
      from += kStep;
    }
  }
};
#endif

}  // namespace

std::size_t next_event(const char* data, std::size_t from, std::size_t to, bool delimiters, LineCounts& counts, mbox::Kernel kernel) {
#if defined(__SSE2__)
  static const bool kAvx2 = __builtin_cpu_supports("avx2") != 0;
  if (kernel != mbox::Kernel::portable) {
    const bool avx2 = kAvx2 && kernel != mbox::Kernel::sse2;
    return delimiters ? Sse2<true>::next(data, from, to, counts, avx2) : Sse2<false>::next(data, from, to, counts, avx2);
  }
#else
  static_cast<void>(kernel);
#endif
  return next_slowly(data, from, to, delimiters, counts);
}

std::size_t end_of_nuls(const char* data, std::size_t from, std::size_t to) {
  while (from < to) {
    std::uint64_t word = 0;
    if (to - from >= sizeof word) {
      std::memcpy(&word, data + from, sizeof word);
      if (word == 0) {
        from += sizeof word;
        continue;
      }
    }
    if (data[from] != '\0') return from;
    ++from;
  }
  return to;
}

}  // namespace qpop::check
