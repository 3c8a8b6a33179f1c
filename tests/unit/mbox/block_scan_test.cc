// SPDX-License-Identifier: MIT
// The vector code and the plain code see the same.
#include "common/mbox/block_scan.h"

#include <array>
#include <bit>
#include <boost/test/unit_test.hpp>
#include <random>
#include <string>

namespace {

using namespace qpop::mbox;

std::string random_text(std::mt19937& random, std::size_t size) {
  // Few special octets in some texts, many in others.
  static constexpr std::string_view kSpecial = "\n\n\n\r\rF\x01 ";
  const unsigned rarity = 1U + static_cast<unsigned>(random() % 60);
  std::string text(size, 'x');
  for (auto& c : text) {
    if (random() % rarity == 0) c = kSpecial[random() % kSpecial.size()];
  }
  return text;
}

bool same(const Masks& a, const Masks& b) {
  return a.lf == b.lf && a.cr == b.cr && a.crlf == b.crlf && a.blank == b.blank && a.candidate == b.candidate;
}

bool same(const Carry& a, const Carry& b) {
  return a.lf1 == b.lf1 && a.cr1 == b.cr1 && a.blank1 == b.blank1;  // lf2 matters behind a CR only
}

BOOST_AUTO_TEST_CASE(kernels_agree) {
  std::mt19937 random{5};
  for (int round = 0; round < 20000; ++round) {
    const auto text = random_text(random, kBlock * (1 + random() % 12));
    const bool lf = random() % 2 == 0;
    const Carry carry{
        .lf1 = lf, .lf2 = random() % 2 == 0, .cr1 = !lf && random() % 2 == 0, .blank1 = lf && random() % 2 == 0};
    const auto separator = random() % 3 == 0 ? Separator::mmdf : Separator::mbox;
    const std::size_t size = 1 + random() % kBlock;
    BOOST_REQUIRE(same(masks_of(Kernel::best, separator, text.data(), size, carry),
                       masks_of(Kernel::portable, separator, text.data(), size, carry)));
    const bool stop = random() % 2 == 0;
    Carry want_carry = carry;
    const auto want = skip_blocks(Kernel::portable, separator, stop, text.data(), text.size() / kBlock, want_carry);
    for (const auto kernel : {Kernel::sse2, Kernel::best}) {
      Carry got_carry = carry;
      const auto got = skip_blocks(kernel, separator, stop, text.data(), text.size() / kBlock, got_carry);
      BOOST_REQUIRE(got.blocks == want.blocks);
      BOOST_REQUIRE(got.bare_lf == want.bare_lf);
      BOOST_REQUIRE(got.blank_end == want.blank_end);
      BOOST_REQUIRE(got.blank_size == want.blank_size);
      BOOST_REQUIRE(same(got_carry, want_carry));
    }
  }
}

BOOST_AUTO_TEST_CASE(counts_bits) {
  std::mt19937_64 random{1};
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t x = random() & random();
    BOOST_REQUIRE(count_bits(x) == static_cast<std::uint64_t>(std::popcount(x)));
  }
  BOOST_TEST(count_bits(~std::uint64_t{0}) == 64U);
}

}  // namespace
