// SPDX-License-Identifier: MIT
// All kernels see the same events and count the same lines, for every text and every place to begin.
#include "common/check/event_scan.h"

#include <boost/test/unit_test.hpp>
#include <random>
#include <string>
#include <vector>

#include "common/check/bytes.h"

namespace {

using namespace qpop::check;
using qpop::mbox::Kernel;

struct Seen {
  std::vector<std::size_t> events;
  LineCounts lines;
};

Seen run(const std::string& text, std::size_t from, bool delimiters, Kernel kernel) {
  const std::string padded = "\n" + text + std::string(Window::kPadding, 'x');
  Seen out;
  for (std::size_t at = from; at < text.size(); ++at) {
    at = next_event(padded.data() + 1, at, text.size(), delimiters, out.lines, kernel);
    if (at < text.size()) out.events.push_back(at);
  }
  return out;
}

BOOST_AUTO_TEST_CASE(kernels_agree) {
  std::mt19937 random{1};
  const std::vector<std::string> pieces{"From ", "F", "From", "\n", "\r\n", "\r", "--", "\n--", ":", "10:20:30", ": :", std::string(1, '\0'), "\x01", "\x02", "\x80", "plain text of some length ", "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5\n"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::size_t i = random() % 40; i > 0; --i) text += pieces[random() % pieces.size()];
    const bool delimiters = random() % 2 == 0;
    const std::size_t from = text.empty() ? 0 : random() % text.size();
    const auto slow = run(text, from, delimiters, Kernel::portable);
    for (const auto kernel : {Kernel::best, Kernel::sse2}) {
      const auto fast = run(text, from, delimiters, kernel);
      BOOST_REQUIRE(fast.events == slow.events);
      BOOST_REQUIRE(fast.lines.lf == slow.lines.lf);
      BOOST_REQUIRE(fast.lines.cr == slow.lines.cr);
      BOOST_REQUIRE(fast.lines.crlf == slow.lines.crlf);
    }
  }
}

BOOST_AUTO_TEST_CASE(events_are_those_that_a_closer_look_starts_from) {
  const std::string text = "a From b\n--x\n10:20 10:20:30\x01y";
  BOOST_TEST((run(text, 0, true, Kernel::best).events == std::vector<std::size_t>{2, 9, 21, 27}));
  BOOST_TEST((run(text, 0, false, Kernel::best).events == std::vector<std::size_t>{2, 21, 27}));
}

BOOST_AUTO_TEST_CASE(runs_of_nul_end_where_they_end) {
  for (std::size_t length = 0; length < 40; ++length) {
    const auto text = std::string(length, '\0') + "x" + std::string(10, '\0');
    BOOST_TEST(end_of_nuls(text.data(), 0, text.size()) == length);
  }
}

/// Everything comes once, and what was asked for is in memory.
BOOST_AUTO_TEST_CASE(a_window_slides_over_any_size) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{5000}, Window::kPiece, 3 * Window::kPiece + 77}) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
    MemoryBytes bytes{text};
    std::string fed;
    Window window{bytes, [&](std::string_view fresh) -> qpop::base::Status {
                    fed += fresh;
                    return {};
                  }};
    for (std::uint64_t at = 0; at <= size; at += 1 + at % 4099) {
      BOOST_REQUIRE(window.move_to(at));
      const auto from = at - std::min<std::uint64_t>(at, Window::kBehind);
      BOOST_REQUIRE(window.view(from, at + Window::kAhead) == std::string_view{text}.substr(from, at - from + Window::kAhead));
    }
    BOOST_TEST(fed == text);
  }
}

}  // namespace
