// SPDX-License-Identifier: MIT
// expunge = deferred: what is deleted is seen no more, what is not deleted is never hidden, and the spool is rewritten when it pays.
#include "common/spool/expunged.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "common/spool/deferred.h"
#include "tests/fault/deferred_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using namespace qpop::test;
using base::ErrorKind;

const std::vector<std::string> kUnits{mbox_message(1), mbox_message(2, 700), mbox_message(3), mbox_message(4, 1300), mbox_message(5)};
const std::string kNew = mbox_message(9, 300);

/// Five messages, some of which a session has deleted; all are still in the spool.
void fill_and_delete(const MaildropFixture& drop, const std::vector<unsigned>& deleted) {
  drop.write_spool(joined(kUnits));
  delete_in_session(drop, deleted, never_due());
}

bool file_stands(const MaildropFixture& drop) { return std::filesystem::exists(drop.state_path("expunged")); }

BOOST_AUTO_TEST_CASE(what_is_deleted_is_seen_no_more_and_stays_in_the_spool) {
  const MaildropFixture drop;
  drop.write_spool(joined(kUnits));
  const auto deleted = delete_in_session(drop, {0, 2}, never_due());
  BOOST_TEST(deleted.removed == 2U);
  BOOST_TEST(deleted.told_at_commit);
  BOOST_TEST(drop.spool() == joined(kUnits));
  for (const auto& settings : {never_due(), with({.deferred = true, .share_percent = 100})}) {
    Process process{drop};
    const auto opened = process.open(settings);
    BOOST_REQUIRE(opened.has_value());
    BOOST_TEST(opened->count == 5U);
    BOOST_TEST(opened->hidden_count == 2U);
    BOOST_TEST((opened->source == ListingSource::from_index));
    BOOST_TEST((visible_in(*opened) == contents({kUnits[1], kUnits[3], kUnits[4]})));
    const auto reader = listing::ListingReader::open(opened->listing.get());
    const auto hidden = listing::read_hidden(opened->hidden.get(), reader->header());
    BOOST_REQUIRE(hidden.has_value());
    BOOST_TEST(hidden->octets == reader->message(0)->record.octets + reader->message(2)->record.octets);
  }
}

BOOST_AUTO_TEST_CASE(quit_costs_the_same_on_every_spool_and_touches_none) {
  std::vector<std::vector<std::string>> logs;
  std::vector<std::uint64_t> written;
  for (const unsigned count : {10U, 2000U}) {
    const MaildropFixture drop;
    std::string spool;
    for (unsigned i = 0; i < count; ++i) spool += mbox_message(i);
    drop.write_spool(spool);
    Process opener{drop};
    auto opened = opener.open(never_due());
    BOOST_REQUIRE(opened.has_value());
    Process process{drop};
    BOOST_REQUIRE(process.update(request_for(*opened, {0, 1, 5}), never_due()).has_value());
    BOOST_TEST(drop.spool() == spool);
    // The listing is read, and of the spool its last octets: it is opened once, looked at, and no lock is taken.
    BOOST_TEST(process.fs.count("read") == 2U);
    BOOST_TEST(process.fs.count("open ada") == 1U);
    BOOST_TEST(process.fs.count("lock_record") == 0U);
    BOOST_TEST(process.fs.count("open ada.lock") == 0U);
    BOOST_TEST(process.fs.count("sync") == 1U);
    BOOST_TEST(process.fs.count("sync_directory") == 1U);
    logs.push_back(process.fs.log());
    written.push_back(process.fs.octets_written());
  }
  BOOST_TEST((logs[0] == logs[1]));
  BOOST_TEST(written[0] == written[1]);
  BOOST_TEST(written[0] == 96U + 3 * 40U);
}

BOOST_AUTO_TEST_CASE(an_open_without_deleted_messages_reads_nothing_more) {
  const MaildropFixture drop;
  drop.write_spool(joined(kUnits));
  { BOOST_REQUIRE(Process{drop}.open(never_due()).has_value()); }
  Process process{drop};
  BOOST_REQUIRE(process.open(never_due()).has_value());
  auto log = process.fs.log();
  BOOST_TEST(std::ranges::count(log, "open expunged") == 1);
  BOOST_TEST(std::ranges::count_if(log, [](const std::string& call) { return call.find("expunged") != std::string::npos; }) == 1);
}

BOOST_AUTO_TEST_CASE(deletions_of_several_sessions_add_up_while_mail_arrives) {
  const MaildropFixture drop;
  fill_and_delete(drop, {1});
  drop.append_spool(kNew);
  // Places are those of the listing: the session shows no number to what is hidden.
  delete_in_session(drop, {0, 5}, never_due());
  drop.append_spool(mbox_message(10));
  BOOST_TEST((visible(drop, never_due()) == contents({kUnits[2], kUnits[3], kUnits[4], mbox_message(10)})));
  BOOST_TEST(drop.spool() == joined(kUnits) + kNew + mbox_message(10));
  // Without an index, too: it is a cache.
  ::unlink(drop.state_path("index").c_str());
  BOOST_TEST((visible(drop, never_due()) == contents({kUnits[2], kUnits[3], kUnits[4], mbox_message(10)})));
}

BOOST_AUTO_TEST_CASE(without_the_file_all_is_back) {
  const MaildropFixture drop;
  drop.write_spool(joined(kUnits));
  delete_in_session(drop, {0, 1, 2, 3, 4}, with({.deferred = true, .share_percent = 100}));
  BOOST_TEST(drop.spool().empty());  // all of it is 100 percent
  fill_and_delete(drop, {0, 1, 2, 3});
  BOOST_TEST((visible(drop, never_due()) == contents({kUnits[4]})));
  ::unlink(drop.state_path("expunged").c_str());
  BOOST_TEST((visible(drop, never_due()) == contents(kUnits)));
}

BOOST_AUTO_TEST_CASE(twins_are_told_apart_by_their_place_alone) {
  const auto twin = mbox_message(1);
  const auto other = mbox_message(2);
  for (const unsigned which : {0U, 1U, 2U}) {
    const MaildropFixture drop;
    drop.write_spool(twin + twin + twin + other);
    delete_in_session(drop, {which}, never_due());
    BOOST_TEST((visible(drop, never_due()) == contents({twin, twin, other})));
    // Another program removes a twin; nobody can say whether it is the hidden one, so both others are seen.
    drop.write_spool(twin + twin + other);
    BOOST_TEST((visible(drop, never_due()) == contents({twin, twin, other})));
    BOOST_TEST(!file_stands(drop));
    // One comes back: nobody deleted that one.
    drop.write_spool(twin + twin + twin + other);
    BOOST_TEST((visible(drop, never_due()) == contents({twin, twin, twin, other})));
  }
}

BOOST_AUTO_TEST_CASE(after_a_rewrite_by_another_program_what_moved_is_seen_again) {
  const MaildropFixture drop;
  fill_and_delete(drop, {0});
  delete_in_session(drop, {2, 4}, never_due());
  // The second message goes: nothing in the listing is as it was.
  drop.write_spool(kUnits[0] + kUnits[2] + kUnits[3] + kUnits[4]);
  BOOST_TEST((visible(drop, never_due()) == contents({kUnits[0], kUnits[2], kUnits[3], kUnits[4]})));
  BOOST_TEST(!file_stands(drop));
}

BOOST_AUTO_TEST_CASE(a_hidden_message_that_another_program_removes_is_forgotten) {
  const MaildropFixture drop;
  drop.write_spool(kUnits[0] + kUnits[1]);
  delete_in_session(drop, {0}, never_due());
  drop.append_spool(kUnits[3] + kUnits[2]);
  delete_in_session(drop, {3}, never_due());
  drop.write_spool(kUnits[0] + kUnits[1] + kUnits[3]);
  BOOST_TEST((visible(drop, never_due()) == contents({kUnits[1], kUnits[3]})));
  // The first batch still holds; the other is gone from the file.
  Process process{drop};
  const auto left = load_expunged(process.context(), drop.state_folder());
  BOOST_REQUIRE(left.has_value());
  BOOST_REQUIRE_EQUAL(left->batches.size(), 1U);
  BOOST_TEST(left->batches[0].header.count == 2U);
  // It comes back, say from a backup: nobody deleted this one.
  drop.append_spool(kUnits[2]);
  BOOST_TEST((visible(drop, never_due()) == contents({kUnits[1], kUnits[3], kUnits[2]})));
}

/// Sets the octets of the file and says what is seen then.
std::vector<std::string> seen_with(const MaildropFixture& drop, const std::string& bytes) {
  MaildropFixture::write_file(drop.state_path("expunged"), bytes);
  return visible(drop, never_due());
}

BOOST_AUTO_TEST_CASE(damage_of_any_octet_shows_messages_and_hides_none) {
  const MaildropFixture drop;
  fill_and_delete(drop, {0});
  delete_in_session(drop, {2, 3}, never_due());
  const auto file = MaildropFixture::read_file(drop.state_path("expunged"));
  BOOST_REQUIRE(file.size() == 4096U + 96 + 80);
  const auto none = contents(kUnits);
  const auto first = contents({kUnits[1], kUnits[2], kUnits[3], kUnits[4]});
  const auto both = contents({kUnits[1], kUnits[4]});
  BOOST_TEST((seen_with(drop, file) == both));
  for (std::size_t at = 0; at < file.size(); ++at) {
    if (at == 200) at = 4000;  // octets of neither
    for (const unsigned bit : {0U, 7U}) {
      auto damaged = file;
      damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ (1U << bit));
      const auto& want = at < 136 ? none : at < 4096 ? both : first;
      BOOST_TEST((seen_with(drop, damaged) == want), "octet " << at << " bit " << bit);
    }
  }
  for (std::size_t size = 0; size <= file.size(); ++size) {
    if (size == 200) size = 4000;
    const auto& want = size < 136 ? none : size < file.size() ? first : both;
    BOOST_TEST((seen_with(drop, file.substr(0, size)) == want), "cut to " << size);
  }
}

BOOST_AUTO_TEST_CASE(a_torn_batch_is_overwritten_by_the_next) {
  const MaildropFixture drop;
  fill_and_delete(drop, {0});
  Process opener{drop};
  auto opened = opener.open(never_due());
  BOOST_REQUIRE(opened.has_value());
  MaildropFixture::append_file(drop.state_path("expunged"), std::string(10'000, 'x'));
  Process process{drop};
  BOOST_REQUIRE(process.update(request_for(*opened, {1}), never_due()).has_value());
  opened->session_lock.reset();
  BOOST_TEST((visible(drop, never_due()) == contents({kUnits[2], kUnits[3], kUnits[4]})));
  BOOST_TEST(MaildropFixture::read_file(drop.state_path("expunged")).size() == 4096U + 136);
}

BOOST_AUTO_TEST_CASE(quit_rewrites_the_spool_when_the_share_is_reached) {
  const MaildropFixture drop;
  const auto a = sized_message(1, 1000);
  const auto b = sized_message(2, 500);
  const auto c = sized_message(3, 499);
  const auto d = sized_message(4, 2001);
  drop.write_spool(b + c + a + d);
  const auto quarter = with({.deferred = true});
  delete_in_session(drop, {0}, quarter);
  delete_in_session(drop, {1}, quarter);
  BOOST_TEST(drop.spool() == b + c + a + d);  // 999 of 4000
  BOOST_TEST(file_stands(drop));
  delete_in_session(drop, {2}, quarter);
  BOOST_TEST(drop.spool() == d);
  BOOST_TEST(!file_stands(drop));
  BOOST_TEST((visible(drop, quarter) == contents({d})));
}

BOOST_AUTO_TEST_CASE(the_next_open_rewrites_the_spool_when_the_share_or_the_time_is_reached) {
  const auto after = [](const MaildropSettings& settings, std::int64_t seconds) {
    const MaildropFixture drop;
    fill_and_delete(drop, {0});
    delete_in_session(drop, {4}, never_due());
    Process later{drop};
    later.clock.advance_ms(seconds * 1000);
    const auto opened = later.open(settings);
    BOOST_REQUIRE(opened.has_value());
    BOOST_TEST((visible_in(*opened) == contents({kUnits[1], kUnits[2], kUnits[3]})));
    const bool rewritten = drop.spool() == kUnits[1] + kUnits[2] + kUnits[3];
    BOOST_TEST((rewritten || drop.spool() == joined(kUnits)));
    BOOST_TEST(file_stands(drop) == !rewritten);
    BOOST_TEST(opened->compacted == (rewritten ? 2U : 0U));
    BOOST_TEST(opened->hidden_count == (rewritten ? 0U : 2U));
    return rewritten;
  };
  const auto share = static_cast<std::uint32_t>(100 * (kUnits[0].size() + kUnits[4].size()) / joined(kUnits).size());
  BOOST_TEST(after(with({.deferred = true, .share_percent = share}), 0));
  BOOST_TEST(!after(with({.deferred = true, .share_percent = share + 1}), 0));
  BOOST_TEST(!after(with({.deferred = true, .share_percent = 100, .after_s = 100}), 90));
  BOOST_TEST(after(with({.deferred = true, .share_percent = 100, .after_s = 100}), 101));
  BOOST_TEST(!after(with({.deferred = true, .share_percent = 1, .after_s = 1, .compacts = false}), 101));
  // Where nothing is deferred, it was not to be there.
  BOOST_TEST(after(with({.share_percent = 100, .after_s = 100}), 0));
  BOOST_TEST(!after(with({.compacts = false}), 0));
}

BOOST_AUTO_TEST_CASE(a_due_rewrite_waits_for_other_programs_and_the_client_does_not) {
  const MaildropFixture drop;
  fill_and_delete(drop, {0});
  auto due = with({.deferred = true, .share_percent = 1});
  due.update_timeout_ms = 10;
  // As another program would, and it lives.
  MaildropFixture::write_file(drop.lock_path(), std::to_string(::getppid()) + "\n");
  const auto opened = visible(drop, due);
  BOOST_TEST((opened == contents({kUnits[1], kUnits[2], kUnits[3], kUnits[4]})));
  const auto updated = delete_in_session(drop, {1}, due);
  BOOST_TEST(updated.error == "");
  BOOST_TEST(drop.spool() == joined(kUnits));
  ::unlink(drop.lock_path().c_str());
  BOOST_TEST((visible(drop, due) == contents({kUnits[2], kUnits[3], kUnits[4]})));
  BOOST_TEST(drop.spool() == kUnits[2] + kUnits[3] + kUnits[4]);
}

BOOST_AUTO_TEST_CASE(what_is_hidden_leaves_with_what_an_immediate_update_removes) {
  const std::vector<std::vector<unsigned>> hidden{{0}, {2}, {4}, {3, 4}, {0, 4}};
  const std::vector<std::vector<unsigned>> deleted{{1}, {3}, {4}, {1, 2, 3, 4}, {0}};
  for (const auto& before : hidden) {
    for (const auto& now : deleted) {
      const MaildropFixture drop;
      drop.write_spool(joined(kUnits));
      delete_in_session(drop, before, never_due());
      const auto updated = delete_in_session(drop, now, with({.share_percent = 100}));
      BOOST_TEST(updated.error == "");
      BOOST_TEST(updated.removed == now.size());
      std::vector<std::string> left;
      for (unsigned i = 0; i < kUnits.size(); ++i) {
        if (std::ranges::count(before, i) + std::ranges::count(now, i) == 0) left.push_back(kUnits[i]);
      }
      BOOST_TEST(drop.spool() == joined(left));
      BOOST_TEST(!file_stands(drop));
      BOOST_TEST((visible(drop, {}) == contents(left)));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_written_down_is_removed_at_once) {
  for (const int errno_value : {ENOSPC, EDQUOT, EIO, EACCES}) {
    for (const std::string_view only : {"open expunged", "write", "sync", "sync_directory"}) {
      const MaildropFixture drop;
      fill_and_delete(drop, {0});
      Process opener{drop};
      auto opened = opener.open(never_due());
      BOOST_REQUIRE(opened.has_value());
      // The first `open expunged` reads it.
      const std::size_t at = only.starts_with("open") ? 1 : 0;
      Process process{drop, {.kind = Fault::Kind::fail_once, .at = at, .errno_value = errno_value, .only = only}};
      const auto updated = process.update(request_for(*opened, {2}), never_due());
      BOOST_TEST(updated.has_value(), only << " " << errno_value);
      opened->session_lock.reset();
      BOOST_TEST(drop.spool() == kUnits[1] + kUnits[3] + kUnits[4], only << " " << errno_value);
      BOOST_TEST(!file_stands(drop));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_written_down_nor_removed_is_still_there) {
  const MaildropFixture drop;
  fill_and_delete(drop, {0});
  Process opener{drop};
  auto opened = opener.open(never_due());
  ::unlink(drop.state_path("reserve").c_str());
  Process process{drop, {.kind = Fault::Kind::fail_from, .at = 0, .errno_value = ENOSPC, .only = "write"}};
  const auto updated = process.update(request_for(*opened, {1}), never_due());
  BOOST_REQUIRE(!updated.has_value());
  BOOST_TEST((updated.error().kind() == ErrorKind::no_space));
  opened->session_lock.reset();
  BOOST_TEST(drop.spool() == joined(kUnits));
  BOOST_TEST((visible(drop, never_due()) == contents({kUnits[1], kUnits[2], kUnits[3], kUnits[4]})));
}

BOOST_AUTO_TEST_CASE(a_batch_that_cannot_be_made_durable_is_taken_back_or_said_to_be_in_doubt) {
  for (const std::string_view only : {"sync", "sync_directory", "write"}) {
    for (const bool for_good : {false, true}) {
      const MaildropFixture drop;
      fill_and_delete(drop, {0});
      const auto before = MaildropFixture::read_file(drop.state_path("expunged"));
      Process process{drop, {.kind = for_good ? Fault::Kind::fail_from : Fault::Kind::fail_once, .errno_value = EIO, .only = only}};
      const auto expunged = load_expunged(process.context(), drop.state_folder());
      BOOST_REQUIRE(expunged.has_value());
      bool in_doubt = false;
      BOOST_TEST(!add_batch(process.context(), drop.state_folder(), *expunged, expunged->batches.front(), in_doubt).has_value());
      // A sync that fails again leaves open what the disk has.
      BOOST_TEST(in_doubt == (for_good && only == "sync"));
      BOOST_TEST(MaildropFixture::read_file(drop.state_path("expunged")).substr(0, before.size()) == before);
      BOOST_TEST(load_expunged(process.context(), drop.state_folder())->batches.size() == 1U);
    }
  }
  // Then the client is not told that nothing was removed.
  const MaildropFixture drop;
  fill_and_delete(drop, {4});
  Process opener{drop};
  auto opened = opener.open(never_due());
  Process process{drop, {.kind = Fault::Kind::fail_from, .errno_value = ENOSPC, .only = "sync"}};
  const auto updated = process.update(request_for(*opened, {0}), never_due());
  BOOST_REQUIRE(!updated.has_value());
  BOOST_TEST((updated.error().kind() == ErrorKind::io));
}

BOOST_AUTO_TEST_CASE(in_a_spool_that_was_rewritten_during_the_session_messages_are_removed_at_once) {
  const MaildropFixture drop;
  drop.write_spool(joined(kUnits));
  Process opener{drop};
  auto opened = opener.open(never_due());
  BOOST_REQUIRE(opened.has_value());
  drop.write_spool(kUnits[1] + kUnits[2] + kUnits[3] + kUnits[4]);
  Process process{drop};
  const auto updated = process.update(request_for(*opened, {0, 2}), never_due());
  BOOST_REQUIRE(updated.has_value());
  BOOST_TEST(updated->removed == 1U);
  BOOST_TEST(drop.spool() == kUnits[1] + kUnits[3] + kUnits[4]);
  BOOST_TEST(!file_stands(drop));
}

BOOST_AUTO_TEST_CASE(expiry_takes_hidden_messages_along_and_does_not_count_them) {
  const MaildropFixture drop;
  auto young = mbox_message(7);
  young.replace(0, kPostmark.size(), "From ada@example.org Thu Nov 29 23:33:09 2068\n");
  drop.write_spool(kUnits[0] + young + kUnits[1] + young);
  delete_in_session(drop, {0, 3}, never_due());
  auto settings = never_due();
  settings.expire_days = 30;
  Process process{drop};
  const auto opened = process.open(settings);
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST(opened->expired == 1U);
  BOOST_TEST(opened->hidden_count == 0U);
  BOOST_TEST(drop.spool() == young);
  BOOST_TEST(!file_stands(drop));
}

BOOST_AUTO_TEST_CASE(recovery_needs_nothing_for_hidden_messages) {
  const MaildropFixture drop;
  fill_and_delete(drop, {0});
  Process process{drop};
  const auto recovered = process.recover(never_due());
  BOOST_REQUIRE(recovered.has_value());
  BOOST_TEST((recovered->outcome == Recovery::nothing));
  BOOST_TEST(process.fs.count("lock_record") == 0U);
  BOOST_TEST(file_stands(drop));
  BOOST_TEST((visible(drop, never_due()) == contents({kUnits[1], kUnits[2], kUnits[3], kUnits[4]})));
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_read_shows_the_messages_and_is_kept) {
  const MaildropFixture drop;
  fill_and_delete(drop, {0});
  {
    Process process{drop, {.kind = Fault::Kind::fail_once, .errno_value = EIO, .only = "open expunged"}};
    const auto opened = process.open(never_due());
    BOOST_REQUIRE(opened.has_value());
    BOOST_TEST((visible_in(*opened) == contents(kUnits)));
    BOOST_TEST(opened->warnings.size() == 1U);
  }
  BOOST_TEST((visible(drop, never_due()) == contents({kUnits[1], kUnits[2], kUnits[3], kUnits[4]})));
  // An update that does not know what is hidden would bring it back.
  Process opener{drop};
  auto opened = opener.open(never_due());
  Process process{drop, {.kind = Fault::Kind::fail_once, .errno_value = EIO, .only = "open expunged"}};
  BOOST_TEST(!process.update(request_for(*opened, {1})).has_value());
  BOOST_TEST(drop.spool() == joined(kUnits));
}

}  // namespace
