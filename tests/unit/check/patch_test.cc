// SPDX-License-Identifier: MIT
// Changes on changes: the result, and the sum of them in terms of the original.
#include "common/check/patch.h"

#include <boost/test/unit_test.hpp>
#include <random>
#include <string>

namespace {

using namespace qpop::check;

std::string with(const std::string& text, const std::vector<Edit>& edits) {
  std::string out;
  std::size_t at = 0;
  for (const auto& edit : edits) {
    BOOST_REQUIRE(edit.offset >= at);
    out += text.substr(at, edit.offset - at) + edit.inserted;
    at = edit.offset + edit.removed;
  }
  return out + text.substr(at);
}

BOOST_AUTO_TEST_CASE(changes_on_changes_are_one_list_of_changes) {
  std::mt19937 random{3};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (std::size_t i = random() % 60; i > 0; --i) text += static_cast<char>('a' + random() % 26);
    Patch patch{text.size()};
    MemoryBytes original{text};
    std::string want = text;
    for (int layer = 0; layer < 4; ++layer) {
      std::vector<Edit> edits;
      for (std::size_t at = random() % 10; at <= want.size(); at += 1 + random() % 20) {
        const auto removed = std::min<std::size_t>(random() % 4, want.size() - at);
        edits.push_back({.offset = at, .removed = removed, .inserted = std::string(random() % 4, static_cast<char>('A' + layer)), .id = Id::glued_message});
        at += removed;
      }
      BOOST_REQUIRE(patch.apply(edits) == edits.size());
      want = with(want, edits);
      PatchedBytes now{original, patch};
      std::string got(want.size() + 5, '?');
      const auto size = now.read(0, got);
      BOOST_REQUIRE(size);
      got.resize(*size);
      BOOST_REQUIRE(got == want);
      BOOST_REQUIRE(patch.size() == want.size());
      BOOST_REQUIRE(with(text, patch.edits()) == want);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_change_inside_of_another_is_left_out) {
  Patch patch{10};
  const std::vector<Edit> edits{{.offset = 2, .removed = 5, .inserted = "x"}, {.offset = 4, .removed = 1, .inserted = "y"}, {.offset = 9, .removed = 5, .inserted = "z"}};
  BOOST_TEST(patch.apply(edits) == 1U);
}

BOOST_AUTO_TEST_CASE(places_lead_back_to_the_original) {
  Patch patch{10};
  const std::vector<Edit> edits{{.offset = 4, .removed = 2, .inserted = "xyz"}};
  BOOST_REQUIRE(patch.apply(edits) == 1U);
  BOOST_TEST(patch.original_of(3) == 3U);
  BOOST_TEST(patch.original_of(5) == 6U);
  BOOST_TEST(patch.original_of(7) == 6U);
  BOOST_TEST(patch.original_of(11) == 10U);
}

}  // namespace
