// SPDX-License-Identifier: MIT
// The index of a maildrop to which mail is appended.
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>

#include "tests/fault/deferred_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using namespace qpop::test;
using test::Process;

const std::string kOne = mbox_message(1);
const std::string kTwo = mbox_message(2);
const std::string kNew = mbox_message(3);

BOOST_AUTO_TEST_CASE(the_index_follows_appended_mail_in_place) {
  MaildropFixture drop;
  std::string first;
  for (unsigned i = 0; i < 1300; ++i) first += mbox_message(i, 0);  // more than are looked at at once
  drop.write_spool(first);
  Process process{drop};
  BOOST_REQUIRE(process.open().has_value());
  const auto inode = [&] {
    struct stat status {};
    BOOST_REQUIRE(::stat(drop.state_path("index").c_str(), &status) == 0);
    return status.st_ino;
  };
  const auto before = inode();
  for (const auto& mail : {mbox_message(7, 0), mbox_message(7, 0) + mbox_message(2000), kNew}) {
    drop.append_spool(mail);
    BOOST_TEST((process.open()->source == ListingSource::grown));
  }
  BOOST_TEST(inode() == before);
  auto known = process.open();
  BOOST_TEST((known->source == ListingSource::from_index));
  const auto ids = unique_ids_of(*known);
  BOOST_TEST(ids.size() == 1304U);
  BOOST_TEST(ids[1301] == ids[7] + ".3");
  known->session_lock.reset();
  std::filesystem::remove(drop.state_path("index"));
  const auto scanned = process.open();
  BOOST_TEST((scanned->source == ListingSource::scanned));
  BOOST_TEST((unique_ids_of(*scanned) == ids));
  BOOST_TEST(scanned->octets == known->octets);
}

BOOST_AUTO_TEST_CASE(what_is_deleted_and_stands_stays_hidden_when_mail_comes) {
  MaildropFixture drop;
  drop.write_spool(kOne + kTwo);
  BOOST_TEST(delete_in_session(drop, {0}, never_due()).removed == 1U);
  drop.append_spool(kNew);
  Process process{drop};
  const auto opened = process.open(never_due());
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST((opened->source == ListingSource::grown));
  BOOST_TEST(opened->octets_scanned == kNew.size());
  BOOST_TEST(process.fs.count("rename index") == 0U);  // in place
  BOOST_TEST(opened->hidden_count == 1U);
  BOOST_TEST(visible_in(*opened).size() == 2U);
}

BOOST_AUTO_TEST_CASE(a_damaged_index_is_not_continued) {
  MaildropFixture drop;
  drop.write_spool(kOne + kTwo);
  Process process{drop};
  const auto ids = unique_ids_of(*process.open());
  auto index = MaildropFixture::read_file(drop.state_path("index"));
  index[200] = static_cast<char>(index[200] ^ 1);  // in a record
  MaildropFixture::write_file(drop.state_path("index"), index);
  drop.append_spool(kNew);
  const auto opened = process.open();
  BOOST_TEST((opened->source == ListingSource::scanned));
  BOOST_TEST(opened->count == 3U);
  BOOST_TEST(unique_ids_of(*opened)[1] == ids[1]);
}

}  // namespace
