// SPDX-License-Identifier: MIT
// The inner loop of the mailbox scan: line ends, empty lines and possible separators, 64 octets at a time.
//
// Why a file of its own: in this folder it is the one place that knows of vector instructions. Its implementations, AVX2, SSE2 (part of
// every x86-64) and portable, are proven equal by tests/unit/mbox.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qpop::mbox {

inline constexpr std::size_t kBlock = 64;

/// `best`: the fastest that this processor runs; the others are for tests (`avx2`: where there is none, as sse2).
enum class Kernel : std::uint8_t { best, avx2, sse2, portable };

/// The octets before the ones looked at, as far as they matter.
struct Carry {
  bool lf1 = false;     ///< the octet before is LF
  bool lf2 = false;     ///< the one before that is LF
  bool cr1 = false;     ///< the octet before is CR
  bool blank1 = false;  ///< the octet before is the LF of an empty line
};

/// Bit i speaks of octet i of a block.
struct Masks {
  std::uint64_t lf = 0;
  std::uint64_t crlf = 0;  ///< LF behind a CR
  std::uint64_t cr = 0;
  std::uint64_t blank = 0;      ///< LF that ends an empty line ("\n" or "\r\n")
  std::uint64_t candidate = 0;  ///< first octet of a line that may be a separator
};

/// What can start a separator: mbox 'F' behind an empty line, MMDF 0x01 at the start of any line.
enum class Separator : std::uint8_t { mbox, mmdf };

/// Masks of `size` <= kBlock octets. Precondition: `data` has `size` readable octets.
[[nodiscard]] Masks masks_of(Kernel kernel, Separator separator, const char* data, std::size_t size,
                             const Carry& carry);

/// The carry behind the first `size` octets of a block with these masks (1 <= size <= kBlock).
[[nodiscard]] Carry carry_behind(const Masks& masks, std::size_t size, const Carry& before);

struct Skipped {
  std::size_t blocks = 0;       ///< whole blocks without an event
  std::uint64_t bare_lf = 0;    ///< LF not behind a CR in them
  std::size_t blank_end = 0;    ///< octets from the start to behind the last empty line in them; 0: none
  std::uint8_t blank_size = 0;  ///< 1 (LF) or 2 (CRLF)
};

/// Runs over at most `blocks` blocks and stops before the first that holds a candidate or, when `stop_at_blank`, an
/// empty line.
[[nodiscard]] Skipped skip_blocks(Kernel kernel, Separator separator, bool stop_at_blank, const char* data,
                                  std::size_t blocks, Carry& carry);

/// Number of bits set, without the instruction that the x86-64 baseline lacks.
[[nodiscard]] constexpr std::uint64_t count_bits(std::uint64_t x) {
  x -= (x >> 1U) & 0x5555555555555555U;
  x = (x & 0x3333333333333333U) + ((x >> 2U) & 0x3333333333333333U);
  x = (x + (x >> 4U)) & 0x0F0F0F0F0F0F0F0FU;
  return (x * 0x0101010101010101U) >> 56U;
}

/// The lowest `size` bits.
[[nodiscard]] constexpr std::uint64_t low_bits(std::size_t size) {
  return size >= kBlock ? ~std::uint64_t{0} : (std::uint64_t{1} << size) - 1;
}

}  // namespace qpop::mbox
