// SPDX-License-Identifier: MIT
// The body of a multi-line response: what a client decodes is the message, for every cut of the input.
#include "common/pop3/encoder.h"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <ostream>
#include <random>
#include <string>
#include <vector>

namespace {

using qpop::pop3::MessageEncoder;

std::string encode(std::string_view content, std::size_t piece, std::uint64_t header = 0, std::uint64_t lines = MessageEncoder::kAllLines) {
  MessageEncoder encoder{header, lines};
  std::string out;
  while (!content.empty()) {
    const auto part = content.substr(0, piece);
    content.remove_prefix(part.size());
    std::vector<char> room(2 * part.size());
    out.append(room.data(), encoder.encode(part, room.data()));
  }
  std::string end(MessageEncoder::kFinishRoom, '\0');
  end.resize(encoder.finish(end.data()));
  return out + end;
}

/// What a client makes of it (RFC 1939 section 3): byte-stuffing undone, CRLF to LF.
std::string decode(std::string_view wire) {
  BOOST_REQUIRE(wire.ends_with(".\r\n"));
  wire.remove_suffix(3);
  std::string out;
  bool line_start = true;
  for (std::size_t i = 0; i < wire.size(); ++i) {
    if (line_start && wire[i] == '.') {
      line_start = false;
      continue;
    }
    if (wire[i] == '\r' && i + 1 < wire.size() && wire[i + 1] == '\n') continue;
    out += wire[i];
    line_start = wire[i] == '\n';
  }
  return out;
}

struct EncodeCase {
  std::string_view content, want;
};
std::ostream& operator<<(std::ostream& out, const EncodeCase& c) { return out << c.want; }
constexpr std::array kCases{
    EncodeCase{"", ".\r\n"},
    EncodeCase{"a\n", "a\r\n.\r\n"},
    EncodeCase{"a", "a\r\n.\r\n"},
    EncodeCase{".\n", "..\r\n.\r\n"},
    EncodeCase{"..\n.a\n\n.", "...\r\n..a\r\n\r\n..\r\n.\r\n"},
    EncodeCase{"a\r\nb\r\n", "a\r\nb\r\n.\r\n"},
    EncodeCase{"a\rb\n", "a\rb\r\n.\r\n"},
    EncodeCase{"a\r", "a\r\r\n.\r\n"},
    EncodeCase{"\r\n.\r\n", "\r\n..\r\n.\r\n"},
    EncodeCase{"\n\n", "\r\n\r\n.\r\n"},
};
BOOST_DATA_TEST_CASE(encodes_alike_for_every_cut, boost::unit_test::data::make(kCases), c) {
  for (std::size_t piece = 1; piece <= c.content.size() + 1; ++piece) BOOST_TEST(encode(c.content, piece) == c.want, "pieces of " << piece);
}

BOOST_AUTO_TEST_CASE(random_content_comes_back_whole) {
  std::mt19937 random{20261122};
  constexpr std::string_view kOctets{"\n\n..\ra\0b", 9};
  for (int round = 0; round < 2000; ++round) {
    std::string content(random() % 200, 'x');
    for (char& c : content) c = kOctets[random() % kOctets.size()];
    content += '\n';
    std::string lf_only;  // CRLF and LF are the same line end to a client
    for (std::size_t i = 0; i < content.size(); ++i) {
      if (content[i] != '\r' || content[i + 1] != '\n') lf_only += content[i];
    }
    const auto wire = encode(content, 1 + random() % 40);
    BOOST_REQUIRE(decode(wire) == lf_only);
    BOOST_REQUIRE(wire.find("\r\n.\r\n") == wire.size() - 5 || content == "\n");
  }
}

BOOST_AUTO_TEST_CASE(top_counts_body_lines_only) {
  const std::string content = "A: 1\nB: 2\n\none\n.two\nthree";
  const std::uint64_t header = 11;
  for (std::size_t piece = 1; piece <= content.size(); ++piece) {
    BOOST_TEST(encode(content, piece, header, 0) == "A: 1\r\nB: 2\r\n\r\n.\r\n");
    BOOST_TEST(encode(content, piece, header, 1) == "A: 1\r\nB: 2\r\n\r\none\r\n.\r\n");
    BOOST_TEST(encode(content, piece, header, 2) == "A: 1\r\nB: 2\r\n\r\none\r\n..two\r\n.\r\n");
    BOOST_TEST(encode(content, piece, header, 3) == "A: 1\r\nB: 2\r\n\r\none\r\n..two\r\nthree\r\n.\r\n");
    BOOST_TEST(encode(content, piece, header, 99) == encode(content, piece));
  }
}

}  // namespace
