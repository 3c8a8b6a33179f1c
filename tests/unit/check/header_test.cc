// SPDX-License-Identifier: MIT
// What a header says.
#include "common/check/header.h"

#include <boost/test/unit_test.hpp>

#include "common/mbox/header_field.h"

namespace {

using namespace qpop;

BOOST_AUTO_TEST_CASE(the_message_that_popper_hides_is_the_one_that_is_told) {
  const std::string subject = "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n";
  const std::string other_subject = "Subject: DO NOT DELETE\n";
  const std::string folded = "Subject: DO NOT\n DELETE FOLDER INTERNAL DATA\n";
  const std::string imap = "X-IMAP: 1 2\n";
  const std::string base = "X-IMAPbase: 1 2\n";
  const std::string from = "From: Mail System Internal Data <MAILER-DAEMON@example.org>\n";
  const std::string ada = "From: Ada <ada@example.org>\n";
  std::size_t hidden = 0;
  for (const auto& a : {subject, other_subject, folded, imap, base, from, ada}) {
    for (const auto& b : {subject, other_subject, folded, imap, base, from, ada}) {
      for (const auto& c : {std::string{}, subject, imap, from, ada}) {
        const auto header = a + b + c + "\n";
        BOOST_TEST(check::read_header(header, true).internal_data == mbox::is_folder_internal(header), header);
        hidden += mbox::is_folder_internal(header) ? 1U : 0U;
      }
    }
  }
  BOOST_TEST(hidden > 50U);
}

BOOST_AUTO_TEST_CASE(times_of_day) {
  for (const auto& [text, want] : {std::pair{"10:11", "10:11:00"}, std::pair{"10:11:12", "10:11:12"}, std::pair{"23:59:60", "23:59:60"}, std::pair{"10:11:12Z", "10:11:12"},
                                   std::pair{"10:11 PST", "10:11:00"}, std::pair{"10:11:1", "10:11:00"}, std::pair{"10:11:61", ""}, std::pair{"24:00", ""}, std::pair{"10:60", ""},
                                   std::pair{"1:02", ""}, std::pair{"10-11", ""}, std::pair{"10:1x", ""}, std::pair{"10:1", ""}, std::pair{"", ""}})
    BOOST_TEST(check::leading_time(text) == want, text);
}

}  // namespace
