// SPDX-License-Identifier: MIT
// Unique-ids in the files of other servers.
#include "popper/takeover/foreign_listing.h"

#include <boost/test/unit_test.hpp>

namespace {

using namespace qpop::takeover;
using qpop::listing::Record;

std::string ids(std::string_view text) {
  const auto entries = parse_foreign_listing(text);
  if (!entries) return "fault: " + entries.error().detail();
  std::string out;
  for (const auto& entry : *entries) {
    out += (out.empty() ? "" : " ") + std::to_string(entry.number) + "=" + entry.unique_id + (entry.octets ? "/" + std::to_string(*entry.octets) : "");
  }
  return out;
}

BOOST_AUTO_TEST_CASE(a_saved_answer) {
  BOOST_TEST(ids("+OK uidl command accepted.\r\n1 abc\r\n3 :)X!!;Ah\"!A*i\"!dl+\"!\r\n.\r\n") == "1=abc 3=:)X!!;Ah\"!A*i\"!dl+\"!");
  BOOST_TEST(ids("1 abc\n2 def") == "1=abc 2=def");
  BOOST_TEST(ids("").empty());
  BOOST_TEST(ids("+OK\n.\n").empty());
  BOOST_TEST(ids("hello world\n").starts_with("fault: line 1: neither a UIDL answer"));
  BOOST_TEST(ids("1 abc\n2\n").starts_with("fault: line 2: want a message-number"));
  BOOST_TEST(ids("0 abc\n").starts_with("fault: line 1"));
  BOOST_TEST(ids("1 a\xC3\xA4\n").starts_with("fault: line 1: not a unique-id"));
  BOOST_TEST(ids("1 " + std::string(45, 'x') + "\n").starts_with("fault: line 1: not a unique-id"));
}

BOOST_AUTO_TEST_CASE(dovecots_list) {
  const std::string header = "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n";
  // 25006 = 0x61ae, 1275660208 = 0x4c0907b0.
  BOOST_TEST(ids(header + "25006 :1276528487.M364837P9451.host,S=1355,W=1394:2,\n25017 W2481 :1276533073.M242911\n") ==
             "1=000061ae4c0907b0 2=000061b94c0907b0/2481");
  BOOST_TEST(ids(header + "7 Pold.uidl O3 W10 :file with blanks Pnot-this\n") == "1=old.uidl/10");
  BOOST_TEST(ids(header + "x :file\n") == "fault: line 2: does not begin with a uid");
}

BOOST_AUTO_TEST_CASE(couriers_list) {
  BOOST_TEST(ids("/2 25 1046343588\n1046343612.M1.host:2,S 1024 21:1046343588\n1046343613.M2.host 30 0:0\n") == "1=UID21-1046343588/1024 2=1046343613.M2.host/30");
  BOOST_TEST(ids("/1 99\nname 12 5\n") == "1=UID5-99/12");
  BOOST_TEST(ids("/2 25 1\nname 12\n") == "fault: line 2: want a file, its octets and a uid");
}

std::vector<Record> messages(const std::vector<std::uint64_t>& octets) {
  std::vector<Record> records(octets.size());
  for (std::size_t i = 0; i < octets.size(); ++i) records[i].octets = octets[i];
  return records;
}

BOOST_AUTO_TEST_CASE(messages_are_matched_by_octets_or_by_number) {
  using Matches = std::vector<std::optional<std::size_t>>;
  BOOST_TEST((match_entries(messages({5, 7, 5, 9}), {{"a", 1, 7}, {"b", 2, 5}, {"c", 3, 5}, {"d", 4, 8}}) == Matches{1, 0, 2, std::nullopt}));
  BOOST_TEST((match_entries(messages({5, 7, 5}), {{"a", 2, {}}, {"b", 1, {}}, {"c", 9, {}}}) == Matches{1, 0, std::nullopt}));
  BOOST_TEST((match_entries(messages({5}), {}) == Matches{std::nullopt}));
}

}  // namespace
