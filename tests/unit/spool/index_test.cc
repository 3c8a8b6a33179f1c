// SPDX-License-Identifier: MIT
// When the records of an index are compared with their hash: what a power loss may have left is, what this kernel wrote or saw is not.
#include "common/spool/index.h"

#include <boost/test/unit_test.hpp>

#include "tests/fault/deferred_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using namespace qpop::test;

constexpr std::int64_t kMinuteMs = 60'000;
const std::string kSpool = mbox_message(1) + mbox_message(2) + mbox_message(3);

ListingSource open_under(const MaildropFixture& drop, std::uint64_t boot, std::int64_t later_ms = 0, const MaildropSettings& settings = {}) {
  Process process{drop};
  process.boot = boot;
  process.clock.advance_ms(later_ms);
  const auto opened = process.open(settings);
  BOOST_REQUIRE(opened.has_value());
  return opened->source;
}

/// A spool with an index of the kernel `boot`, one octet of whose last record is another.
void fill_and_damage(const MaildropFixture& drop, std::uint64_t boot, const std::string& spool = kSpool) {
  drop.write_spool(spool);
  BOOST_REQUIRE((open_under(drop, boot) == ListingSource::scanned));
  auto index = MaildropFixture::read_file(drop.state_path("index"));
  index[index.size() - 1] = 'x';  // behind the unique-id
  MaildropFixture::write_file(drop.state_path("index"), index);
}

BOOST_AUTO_TEST_CASE(records_are_compared_when_the_kernel_is_another_or_unknown) {
  for (const auto& [written, opened, compared] : {std::tuple{7U, 7U, false}, std::tuple{7U, 8U, true}, std::tuple{7U, 0U, true}, std::tuple{0U, 0U, true}, std::tuple{0U, 7U, true}}) {
    const MaildropFixture drop;
    fill_and_damage(drop, written);
    BOOST_TEST((open_under(drop, opened) == (compared ? ListingSource::scanned : ListingSource::from_index)), written << " " << opened);
  }
}

BOOST_AUTO_TEST_CASE(records_are_compared_once_an_hour) {
  const MaildropFixture drop;
  fill_and_damage(drop, 7);
  BOOST_TEST((open_under(drop, 7, 58 * kMinuteMs) == ListingSource::from_index));
  BOOST_TEST((open_under(drop, 7, 61 * kMinuteMs) == ListingSource::scanned));
  // A clock that was set back says nothing about the hour.
  fill_and_damage(drop, 7);
  BOOST_TEST((open_under(drop, 7, -2 * kMinuteMs) == ListingSource::scanned));
}

BOOST_AUTO_TEST_CASE(records_that_were_compared_are_so_for_the_next_open) {
  const MaildropFixture drop;
  drop.write_spool(kSpool);
  BOOST_REQUIRE((open_under(drop, 7) == ListingSource::scanned));
  const auto before = MaildropFixture::read_file(drop.state_path("index"));
  BOOST_TEST((open_under(drop, 7) == ListingSource::from_index));
  BOOST_TEST((MaildropFixture::read_file(drop.state_path("index")) == before));  // nothing to note
  BOOST_TEST((open_under(drop, 8) == ListingSource::from_index));
  auto index = MaildropFixture::read_file(drop.state_path("index"));
  BOOST_TEST((index != before));
  BOOST_TEST((index.substr(sizeof(listing::ListingHeader)) == before.substr(sizeof(listing::ListingHeader))));
  index[index.size() - 1] = 'x';
  MaildropFixture::write_file(drop.state_path("index"), index);
  BOOST_TEST((open_under(drop, 8) == ListingSource::from_index));
  BOOST_TEST((open_under(drop, 7) == ListingSource::scanned));
}

BOOST_AUTO_TEST_CASE(whoever_deletes_compares) {
  const MaildropFixture drop;
  fill_and_damage(drop, 7);
  Process opener{drop};
  opener.boot = 7;
  for (const bool deferred : {false, true}) {
    const auto settings = deferred ? never_due() : MaildropSettings{};
    fill_and_damage(drop, 7);
    auto opened = opener.open(settings);
    BOOST_REQUIRE((opened->source == ListingSource::from_index));
    // Nobody knows what the client saw.
    const auto updated = opener.update(request_for(*opened, {1}), settings);
    BOOST_REQUIRE(!updated.has_value());
    BOOST_TEST((updated.error().kind() == base::ErrorKind::changed));
    BOOST_TEST(drop.spool() == kSpool);
    opened->session_lock.reset();
    BOOST_TEST((open_under(drop, 7) == ListingSource::scanned));
    BOOST_TEST((visible(drop, settings) == contents({mbox_message(1), mbox_message(2), mbox_message(3)})));
    drop.clear();
  }
}

/// The listing is needed to say what is hidden: a damaged one would let the file of hidden messages appear void.
BOOST_AUTO_TEST_CASE(where_messages_are_hidden_records_are_compared) {
  const MaildropFixture drop;
  drop.write_spool(kSpool);
  delete_in_session(drop, {1}, never_due());
  BOOST_REQUIRE((open_under(drop, 7, 0, never_due()) == ListingSource::from_index));
  auto index = MaildropFixture::read_file(drop.state_path("index"));
  index[index.size() - 1] = 'x';
  MaildropFixture::write_file(drop.state_path("index"), index);
  BOOST_TEST((open_under(drop, 7, 0, never_due()) == ListingSource::scanned));
  BOOST_TEST((visible(drop, never_due()) == contents({mbox_message(1), mbox_message(3)})));
}

BOOST_AUTO_TEST_CASE(an_index_that_cannot_be_marked_is_used_all_the_same) {
  const MaildropFixture drop;
  drop.write_spool(kSpool);
  BOOST_REQUIRE((open_under(drop, 7) == ListingSource::scanned));
  for (const std::string_view only : {"open index", "write"}) {
    // The first `open index` reads it.
    Process process{drop, {.kind = Fault::Kind::fail_once, .at = only == "write" ? 0U : 1U, .errno_value = EROFS, .only = only}};
    process.boot = 8;
    const auto opened = process.open();
    BOOST_REQUIRE(opened.has_value());
    BOOST_TEST((opened->source == ListingSource::from_index), only);
    BOOST_TEST((contents_of(*opened) == contents({mbox_message(1), mbox_message(2), mbox_message(3)})));
  }
}

}  // namespace
