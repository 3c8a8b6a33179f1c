// SPDX-License-Identifier: MIT
// "Status: RO" in messages that were retrieved and move.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>

#include "common/mbox/unique_id.h"
#include "tests/fault/maildrop_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using namespace qpop::test;

const std::string kGone = mbox_message(1, 300);

/// A message whose header has `field` in its middle.
std::string with_field(unsigned number, const std::string& field) {
  auto text = mbox_message(number);
  return text.insert(text.find("Subject:"), field);
}

std::string with_crlf(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

/// The spool after the first message was deleted and all others were retrieved; the index must say what a scan says.
std::string spool_after(const std::string& first, const std::string& others) {
  MaildropFixture drop;
  drop.write_spool(first + others);
  test::Process process{drop};
  auto opened = process.open();
  BOOST_REQUIRE(opened.has_value());
  std::vector<unsigned> retrieved;
  for (unsigned i = 0; i < opened->count; ++i) retrieved.push_back(i);
  const auto ids = unique_ids_of(*opened);
  const auto updated = process.update(request_for(*opened, {0}, retrieved));
  BOOST_REQUIRE_MESSAGE(updated.has_value(), (updated ? "" : updated.error().message()));
  opened->session_lock.reset();
  auto next = process.open();
  BOOST_TEST((next->source == ListingSource::from_index));
  auto known = *listing::ListingReader::open(next->listing.get())->all_records();
  BOOST_TEST((unique_ids_of(*next) == std::vector(ids.begin() + 1, ids.end())));
  next->session_lock.reset();
  std::filesystem::remove(drop.state_path("index"));
  const auto scanned = process.open();
  auto found = *listing::ListingReader::open(scanned->listing.get())->all_records();
  for (auto* list : {&known, &found}) {
    for (auto& record : *list) mbox::set_unique_id(record, "x");
  }
  BOOST_TEST((listing::hash_records(known) == listing::hash_records(found)));
  return drop.spool();
}

BOOST_AUTO_TEST_CASE(a_line_is_added_behind_the_fields_or_takes_the_place_of_one_without_r) {
  const auto marked = [](unsigned number) {
    auto text = mbox_message(number);
    return text.insert(text.find("\n\n") + 1, "Status: RO\n");
  };
  BOOST_TEST(spool_after(kGone, mbox_message(2) + mbox_message(3)) == marked(2) + marked(3));
  BOOST_TEST(spool_after(kGone, with_field(2, "Status: O\n") + mbox_message(3)) == with_field(2, "Status: RO\n") + marked(3));
  BOOST_TEST(spool_after(kGone, with_field(2, "status: U\n")) == with_field(2, "Status: RO\n"));
}

BOOST_AUTO_TEST_CASE(what_is_read_already_or_is_no_line_of_its_own_stays) {
  for (const auto* field : {"Status: RO\n", "Status: OR\n", "Status: O\n more\n", "Status: all of this is one long line\n"}) {
    const auto other = with_field(2, field);
    BOOST_TEST(spool_after(kGone, other) == other, field);
  }
}

BOOST_AUTO_TEST_CASE(line_ends_and_separators_are_those_of_the_spool) {
  auto crlf = with_crlf(mbox_message(2));
  const auto before = crlf;
  crlf.insert(crlf.find("\r\n\r\n") + 2, "Status: RO\r\n");
  BOOST_TEST(spool_after(with_crlf(kGone), before) == crlf);
  auto mmdf = mmdf_message(2);
  const auto old = mmdf;
  mmdf.insert(mmdf.find("\n\n") + 1, "Status: RO\n");
  BOOST_TEST(spool_after(mmdf_message(1), old) == mmdf);
}

BOOST_AUTO_TEST_CASE(the_spool_never_becomes_longer) {
  std::string others;
  for (unsigned i = 2; i < 200; ++i) others += mbox_message(i, 0);
  const auto left = spool_after(kGone, others);
  BOOST_TEST(left.size() <= kGone.size() + others.size());
  BOOST_TEST(left.size() > kGone.size() + others.size() - std::string_view{"Status: RO\n"}.size());
}

BOOST_AUTO_TEST_CASE(what_does_not_move_or_was_not_retrieved_is_not_touched) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(2) + kGone + mbox_message(3) + mbox_message(4));
  test::Process process{drop};
  auto opened = process.open();
  BOOST_REQUIRE(process.update(request_for(*opened, {1}, {0, 2})).has_value());
  auto marked = mbox_message(3);
  marked.insert(marked.find("\n\n") + 1, "Status: RO\n");
  BOOST_TEST(drop.spool() == mbox_message(2) + marked + mbox_message(4));
}

}  // namespace
