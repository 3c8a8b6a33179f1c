// SPDX-License-Identifier: MIT
// Unique-ids as Qpopper made them, fields of a header, the day of a postmark.
#include "common/mbox/qpopper_id.h"

#include <boost/test/unit_test.hpp>

#include "common/mbox/header_field.h"
#include "common/mbox/postmark_date.h"

namespace {

using namespace qpop::mbox;

using Digest = std::array<std::uint8_t, 16>;

BOOST_AUTO_TEST_CASE(base80_by_hand) {
  // 00 01 02 03 -> 0x0123 = 291 = 3*80 + 51:  '!'+51 'T', '!'+3 '$', zeros '!'
  // 04 05 06 07 -> 0x4567 = 17767 = (2*80 + 62)*80 + 7: '(' '_' '#'
  // 08 09 0a 0b -> 0x89ab = 35243 = (5*80 + 40)*80 + 43: 'L' 'I' '&'
  // 0c 0d 0e 0f -> 0xcdef = 52719 = (8*80 + 18)*80 + 79: 'p' '3' ')'
  BOOST_TEST(base80(Digest{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}) == "T$!!!(_#!!LI&!!p3)!!");
  // ff ff ff ff -> 255 * 0x1111 = 1114095 = ((2*80 + 14)*80 + 6)*80 + 15: '0' '\'' '/' '#' '!'
  // 00 00 00 0d -> 13, which would be '.'
  // 01 00 00 00 -> 0x1000 = 4096 = 51*80 + 16: '1' 'T'
  BOOST_TEST(base80(Digest{255, 255, 255, 255, 0, 0, 0, 13, 1, 0, 0, 0, 0, 0, 0, 0}) == "0'/#!~!!!!1T!!!!!!!!");
}

BOOST_AUTO_TEST_CASE(only_four_fields_and_the_postmark_count) {
  const std::string postmark = "From ada@example.org Thu Nov 29 23:33:09 2012\n";
  const std::string header = "Received: from a by b;\n\tThu, 29 Nov 2012\nDate: Thu, 29 Nov 2012\nFrom: Ada\nSubject: x\nMESSAGE-ID: <1@example.org>\n\n";
  // printf 'From ...\nReceived: from a by b;\nDate: ...\nSubject: x\nMESSAGE-ID: <1@example.org>\n' | md5sum
  BOOST_TEST(qpopper_unique_id(UniqueIdForm::hex, postmark, header) == "22d86650221d1b2ccbdd3730b7e374dd");
  BOOST_TEST(qpopper_unique_id(UniqueIdForm::base80, postmark, header) == "!LQ\"!&jE\"!90B\"!pj[!!");
  auto other = header;
  other.replace(other.find("From: Ada"), 9, "From: Bob");
  BOOST_TEST(qpopper_unique_id(UniqueIdForm::hex, postmark, other) == qpopper_unique_id(UniqueIdForm::hex, postmark, header));
  BOOST_TEST(qpopper_unique_id(UniqueIdForm::hex, postmark, "Status: RO\n" + header) == qpopper_unique_id(UniqueIdForm::hex, postmark, header));
}

BOOST_AUTO_TEST_CASE(stored_unique_ids_are_those_that_qpopper_could_write) {
  const auto stored = [](const std::string& value) { return stored_unique_id("Subject: x\nX-UIDL: " + value + "\n\nX-UIDL: in the body\n"); };
  BOOST_TEST(stored("0123456789a").value() == "0123456789a");
  BOOST_TEST(!stored("0123456789"));
  BOOST_TEST(stored("0123456789abcdef0123456789abcdef").has_value());
  BOOST_TEST(!stored("0123456789abcdef0123456789abcdef0"));
  BOOST_TEST(!stored("0123456789 abcdef"));
  BOOST_TEST(!stored("0123456789\xC3\xA4yz"));
  BOOST_TEST(stored("  :)X!!;Ah\"!A*i\"!dl+\"!  \r").value() == ":)X!!;Ah\"!A*i\"!dl+\"!");
  BOOST_TEST(!stored_unique_id("Subject: x\n\nX-UIDL: 0123456789ab\n"));
  BOOST_TEST(stored_unique_id("x-uidl: first-first\nX-UIDL: second-second\n").value() == "first-first");
}

BOOST_AUTO_TEST_CASE(fields_are_taken_one_by_one) {
  HeaderFields fields{"A: 1\r\n b\r\nno colon\nB :2\n\nC: 3\n"};
  auto field = fields.next();
  BOOST_TEST(field->name == "A");
  BOOST_TEST(field->value == "1");
  BOOST_TEST(field->whole == "A: 1\r\n b\r\n");
  field = fields.next();
  BOOST_TEST(field->name.empty());
  field = fields.next();
  BOOST_TEST(field->name == "B");
  BOOST_TEST(field->value == "2");
  BOOST_TEST(!fields.next());
  BOOST_TEST(!HeaderFields{""}.next());
  BOOST_TEST(HeaderFields{"A: 1"}.next()->whole == "A: 1");
}

BOOST_AUTO_TEST_CASE(two_signs_of_three_make_a_message_internal) {
  const std::string subject = "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n";
  const std::string imap = "X-IMAP: 1 2\n";
  const std::string from = "From: Mail System Internal Data <MAILER-DAEMON@example.org>\n";
  BOOST_TEST(is_folder_internal(subject + imap));
  BOOST_TEST(is_folder_internal(from + subject));
  BOOST_TEST(is_folder_internal(imap + from));
  for (const auto& alone : {subject, imap, from}) BOOST_TEST(!is_folder_internal(alone));
  BOOST_TEST(!is_folder_internal("Subject: do not delete\n" + imap));
}

BOOST_AUTO_TEST_CASE(days_of_postmarks) {
  BOOST_TEST(day_of_postmark("Thu Jan  1 00:00:00 1970").value() == 0);
  BOOST_TEST(day_of_postmark("Wed Dec  2 05:53 1992").value() == 8371);
  BOOST_TEST(day_of_postmark("Wed Dec  2 05:53:22 PST 1992").value() == 8371);
  BOOST_TEST(day_of_postmark("Wed Dec  2 05:53:22 -0700 1992").value() == 8371);
  BOOST_TEST(day_of_postmark("Wed Dec  2 05:53:22 1992 PST").value() == 8371);
  BOOST_TEST(day_of_postmark("Sat Feb 29 05:53:22 MET DST 2020").value() == 18321);
  BOOST_TEST(!day_of_postmark("Sat Feb 30 05:53:22 2020"));
  BOOST_TEST(!day_of_postmark("Sat Foo 30 05:53:22 2020"));
  BOOST_TEST(!day_of_postmark("Thu Jan  1 00:00:00 1969"));
  BOOST_TEST(!day_of_postmark(""));
}

}  // namespace
