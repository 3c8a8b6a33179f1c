// SPDX-License-Identifier: MIT
// Bit masks of a block: one compare for each octet of interest, the rest is arithmetic on 64-bit words.
#include "common/mbox/block_scan.h"

#include <bit>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace qpop::mbox {

namespace {

/// Positions of LF, CR and the separator's first octet.
struct Raw {
  std::uint64_t lf = 0;
  std::uint64_t cr = 0;
  std::uint64_t first = 0;
};

constexpr char first_octet(Separator separator) {
  return separator == Separator::mbox ? 'F' : '\x01';
}

std::uint64_t bit(bool set) {
  return set ? 1U : 0U;
}

struct PortableLoad {
  template <Separator kSeparator>
  static Raw load(const char* data) {
    Raw raw;
    for (std::size_t i = 0; i < kBlock; ++i) {
      raw.lf |= bit(data[i] == '\n') << i;
      raw.cr |= bit(data[i] == '\r') << i;
      raw.first |= bit(data[i] == first_octet(kSeparator)) << i;
    }
    return raw;
  }
};

#if defined(__SSE2__)
struct Sse2Load {
  static __m128i piece(const char* data, std::size_t i) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + i * 16));
  }

  static std::uint64_t equal(const char* data, char c) {
    const __m128i pattern = _mm_set1_epi8(c);
    std::uint64_t mask = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const auto bits = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(piece(data, i), pattern)));
      mask |= std::uint64_t{bits} << (i * 16);
    }
    return mask;
  }

  static bool has(const char* data, char c) {
    const __m128i pattern = _mm_set1_epi8(c);
    __m128i any = _mm_cmpeq_epi8(piece(data, 0), pattern);
    for (std::size_t i = 1; i < 4; ++i) any = _mm_or_si128(any, _mm_cmpeq_epi8(piece(data, i), pattern));
    return _mm_movemask_epi8(any) != 0;
  }

  /// CR and 'F' are worked out only where they can matter: most blocks of an mbox have neither a CR nor an empty line.
  template <Separator kSeparator>
  static Raw load(const char* data) {
    Raw raw;
    raw.lf = equal(data, '\n');
    if (has(data, '\r')) raw.cr = equal(data, '\r');
    if constexpr (kSeparator == Separator::mmdf) {
      if (has(data, first_octet(kSeparator))) raw.first = equal(data, first_octet(kSeparator));
    }
    return raw;
  }
};
using BestLoad = Sse2Load;
#else
using BestLoad = PortableLoad;
#endif

std::uint64_t first_octets(const char* data, const Raw& raw, Separator separator, bool portable) {
#if defined(__SSE2__)
  if (!portable && separator == Separator::mbox) return Sse2Load::equal(data, first_octet(separator));
#else
  static_cast<void>(data);
  static_cast<void>(separator);
  static_cast<void>(portable);
#endif
  return raw.first;
}

template <class Load, Separator kSeparator>
[[gnu::always_inline]] inline Masks masks_at(const char* data, const Carry& carry) {
  const Raw raw = Load::template load<kSeparator>(data);
  Masks masks{.lf = raw.lf, .cr = raw.cr};
  const std::uint64_t line_start = raw.lf << 1U | bit(carry.lf1);
  const std::uint64_t behind_cr = raw.cr << 1U | bit(carry.cr1);
  masks.crlf = raw.lf & behind_cr;
  masks.blank = (raw.lf & line_start) | (masks.crlf & (line_start << 1U | bit(carry.lf2)));
  const std::uint64_t possible = kSeparator == Separator::mbox ? masks.blank << 1U | bit(carry.blank1) : line_start;
  if (possible != 0) {
    constexpr bool kPortable = std::is_same_v<Load, PortableLoad>;
    masks.candidate = possible & first_octets(data, raw, kSeparator, kPortable);
  }
  return masks;
}

Carry carry_of(const Masks& masks) {
  return {.lf1 = (masks.lf >> 63U) != 0,
          .lf2 = (masks.lf >> 62U & 1U) != 0,
          .cr1 = (masks.cr >> 63U) != 0,
          .blank1 = (masks.blank >> 63U) != 0};
}

/// Where the last empty line of the skipped blocks ended.
struct LastBlank {
  std::size_t block = 0;
  std::uint64_t blank = 0;
  std::uint64_t crlf = 0;

  void store(Skipped& out) const {
    if (blank == 0) return;
    const auto last = static_cast<std::size_t>(63 - std::countl_zero(blank));
    out.blank_end = block * kBlock + last + 1;
    out.blank_size = (crlf >> last & 1U) != 0 ? 2 : 1;
  }
};

template <class Load, Separator kSeparator>
Skipped skip_slowly(bool stop_at_blank, const char* data, std::size_t blocks, Carry& carry) {
  Skipped out;
  LastBlank last;
  for (; out.blocks < blocks; ++out.blocks) {
    const Masks masks = masks_at<Load, kSeparator>(data + out.blocks * kBlock, carry);
    if (masks.candidate != 0 || (stop_at_blank && masks.blank != 0)) break;
    if (masks.blank != 0) last = {.block = out.blocks, .blank = masks.blank, .crlf = masks.crlf};
    out.bare_lf += count_bits(masks.lf & ~masks.crlf);
    carry = carry_of(masks);
  }
  last.store(out);
  return out;
}

#if defined(__SSE2__)
/// Leading blocks of a text without CR and empty line (in MMDF: without 0x01 too). Nearly all blocks are such, so their
/// LF are counted as vectors and nothing else is worked out: about a dozen cycles a block.
struct PlainRun {
  std::size_t blocks = 0;
  std::uint64_t lf = 0;    ///< LF in them
  std::uint64_t ends = 0;  ///< LF mask of the last one
};

template <Separator kSeparator>
PlainRun plain_run_sse2(const char* data, std::size_t blocks, std::uint64_t lf1) {
  const __m128i lf = _mm_set1_epi8('\n');
  const __m128i cr = _mm_set1_epi8('\r');
  const __m128i first = _mm_set1_epi8(first_octet(kSeparator));
  const __m128i one = _mm_set1_epi8(1);
  const __m128i zero = _mm_setzero_si128();
  __m128i counted = zero;
  PlainRun run;
  for (; run.blocks < blocks; ++run.blocks) {
    __m128i odd = zero;
    __m128i sum = zero;
    std::uint64_t ends = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const __m128i piece = Sse2Load::piece(data + run.blocks * kBlock, i);
      const __m128i found = _mm_cmpeq_epi8(piece, lf);
      odd = _mm_or_si128(odd, _mm_cmpeq_epi8(piece, cr));
      if constexpr (kSeparator == Separator::mmdf) odd = _mm_or_si128(odd, _mm_cmpeq_epi8(piece, first));
      // At most 4 in an octet: the sum of the eight in a lane carries nothing over.
      sum += _mm_and_si128(found, one);
      ends |= std::uint64_t{static_cast<std::uint32_t>(_mm_movemask_epi8(found))} << (i * 16);
    }
    if (_mm_movemask_epi8(odd) != 0 || (ends & (ends << 1U | lf1)) != 0) break;
    counted += _mm_sad_epu8(sum, zero);
    lf1 = ends >> 63U;
    run.ends = ends;
  }
  alignas(16) std::uint64_t sums[2];
  _mm_store_si128(reinterpret_cast<__m128i*>(sums), counted);
  run.lf = sums[0] + sums[1];
  return run;
}

/// The same on 32 octets at once, for processors that can.
template <Separator kSeparator>
__attribute__((target("avx2"))) PlainRun plain_run_avx2(const char* data, std::size_t blocks, std::uint64_t lf1) {
  const __m256i lf = _mm256_set1_epi8('\n');
  const __m256i cr = _mm256_set1_epi8('\r');
  const __m256i first = _mm256_set1_epi8(first_octet(kSeparator));
  PlainRun run;
  for (; run.blocks < blocks; ++run.blocks) {
    const char* at = data + run.blocks * kBlock;
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32));
    __m256i odd = _mm256_or_si256(_mm256_cmpeq_epi8(a, cr), _mm256_cmpeq_epi8(b, cr));
    if constexpr (kSeparator == Separator::mmdf) {
      odd = _mm256_or_si256(odd, _mm256_or_si256(_mm256_cmpeq_epi8(a, first), _mm256_cmpeq_epi8(b, first)));
    }
    const __m256i la = _mm256_cmpeq_epi8(a, lf);
    const __m256i lb = _mm256_cmpeq_epi8(b, lf);
    const std::uint64_t ends = std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(la))} |
                               std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(lb))} << 32U;
    if (_mm256_movemask_epi8(odd) != 0 || (ends & (ends << 1U | lf1)) != 0) break;
    run.lf += static_cast<unsigned>(std::popcount(ends));
    lf1 = ends >> 63U;
    run.ends = ends;
  }
  return run;
}

/// The same on a whole block at once; the masks come out of the compare itself.
template <Separator kSeparator>
__attribute__((target("avx512bw,popcnt"))) PlainRun plain_run_avx512(const char* data, std::size_t blocks, std::uint64_t lf1) {
  const __m512i lf = _mm512_set1_epi8('\n');
  const __m512i cr = _mm512_set1_epi8('\r');
  const __m512i first = _mm512_set1_epi8(first_octet(kSeparator));
  PlainRun run;
  for (; run.blocks < blocks; ++run.blocks) {
    const __m512i block = _mm512_loadu_si512(data + run.blocks * kBlock);
    const std::uint64_t ends = _mm512_cmpeq_epi8_mask(block, lf);
    std::uint64_t odd = _mm512_cmpeq_epi8_mask(block, cr) | (ends & (ends << 1U | lf1));
    if constexpr (kSeparator == Separator::mmdf) odd |= _mm512_cmpeq_epi8_mask(block, first);
    if (odd != 0) break;
    run.lf += static_cast<unsigned>(std::popcount(ends));
    lf1 = ends >> 63U;
    run.ends = ends;
  }
  return run;
}

template <Separator kSeparator>
PlainRun plain_run(Kernel kernel, const char* data, std::size_t blocks, std::uint64_t lf1) {
  static const bool kAvx2 = __builtin_cpu_supports("avx2") != 0;
  static const bool kAvx512 = __builtin_cpu_supports("avx512bw") != 0;
  if (kAvx512 && kernel == Kernel::best) return plain_run_avx512<kSeparator>(data, blocks, lf1);
  return kAvx2 && kernel != Kernel::sse2 ? plain_run_avx2<kSeparator>(data, blocks, lf1)
                                         : plain_run_sse2<kSeparator>(data, blocks, lf1);
}

template <Separator kSeparator>
Skipped skip_fast(Kernel kernel, bool stop_at_blank, const char* data, std::size_t blocks, Carry& carry) {
  Skipped out;
  LastBlank last;
  while (out.blocks < blocks) {
    // A CR or an empty line at the end of the block before concerns this one too.
    if (!carry.cr1 && !carry.blank1) {
      const auto run = plain_run<kSeparator>(kernel, data + out.blocks * kBlock, blocks - out.blocks, bit(carry.lf1));
      out.blocks += run.blocks;
      out.bare_lf += run.lf;
      if (run.blocks > 0) carry = carry_of({.lf = run.ends});
      if (out.blocks == blocks) break;
    }
    const Masks masks = masks_at<Sse2Load, kSeparator>(data + out.blocks * kBlock, carry);
    if (masks.candidate != 0 || (stop_at_blank && masks.blank != 0)) break;
    if (masks.blank != 0) last = {.block = out.blocks, .blank = masks.blank, .crlf = masks.crlf};
    out.bare_lf += count_bits(masks.lf & ~masks.crlf);
    carry = carry_of(masks);
    ++out.blocks;
  }
  last.store(out);
  return out;
}
#endif

template <Separator kSeparator>
Skipped skip(Kernel kernel, bool stop_at_blank, const char* data, std::size_t blocks, Carry& carry) {
#if defined(__SSE2__)
  if (kernel != Kernel::portable) return skip_fast<kSeparator>(kernel, stop_at_blank, data, blocks, carry);
#else
  static_cast<void>(kernel);
#endif
  return skip_slowly<PortableLoad, kSeparator>(stop_at_blank, data, blocks, carry);
}

}  // namespace

Masks masks_of(Kernel kernel, Separator separator, const char* data, std::size_t size, const Carry& carry) {
  char padded[kBlock] = {};
  if (size < kBlock) {
    std::memcpy(padded, data, size);
    data = padded;
  }
  const bool mbox = separator == Separator::mbox;
  Masks masks = kernel == Kernel::portable ? (mbox ? masks_at<PortableLoad, Separator::mbox>(data, carry)
                                                   : masks_at<PortableLoad, Separator::mmdf>(data, carry))
                                           : (mbox ? masks_at<BestLoad, Separator::mbox>(data, carry)
                                                   : masks_at<BestLoad, Separator::mmdf>(data, carry));
  masks.candidate &= low_bits(size);
  return masks;
}

Carry carry_behind(const Masks& masks, std::size_t size, const Carry& before) {
  const auto at = [&](std::uint64_t mask, std::size_t i) { return (mask >> i & 1U) != 0; };
  return {.lf1 = at(masks.lf, size - 1),
          .lf2 = size >= 2 ? at(masks.lf, size - 2) : before.lf1,
          .cr1 = at(masks.cr, size - 1),
          .blank1 = at(masks.blank, size - 1)};
}

Skipped skip_blocks(Kernel kernel, Separator separator, bool stop_at_blank, const char* data, std::size_t blocks,
                    Carry& carry) {
  return separator == Separator::mbox ? skip<Separator::mbox>(kernel, stop_at_blank, data, blocks, carry)
                                      : skip<Separator::mmdf>(kernel, stop_at_blank, data, blocks, carry);
}

}  // namespace qpop::mbox
