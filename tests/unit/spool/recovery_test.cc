// SPDX-License-Identifier: MIT
// Recovery proves where the spool stands and never redoes over what somebody else wrote.
#include "common/spool/recovery.h"

#include <sys/file.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "common/spool/data_journal.h"
#include "common/spool/index.h"
#include "common/spool/spool_file.h"
#include "common/spool/update.h"
#include "tests/fault/maildrop_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using namespace qpop::test;
using base::ErrorKind;

const std::vector<std::string> kMessages{mbox_message(1), mbox_message(2, 700), mbox_message(3, 1500),
                                         mbox_message(4, 900), mbox_message(5, 600)};
const std::string kNew = mbox_message(9, 300);

std::string joined(const std::vector<unsigned>& numbers) {
  std::string out;
  for (const auto number : numbers) out += kMessages.at(number - 1);
  return out;
}

template <class T>
std::string why(const base::Result<T>& result) {
  return result ? "" : result.error().message();
}

/// Places at which an update that deletes messages 2 and 4 dies.
enum class Death { committed, half_moved, moved, cut };

/// A maildrop whose update died there; messages 1, 3 and 5 are kept.
void die_at(const MaildropFixture& drop, Death death) {
  drop.write_spool(joined({1, 2, 3, 4, 5}));
  std::size_t call = 0;
  for (const bool dry : {true, false}) {
    Process process{drop, {.kind = dry ? Fault::Kind::none : Fault::Kind::die, .at = call}};
    Process opener{drop};
    const auto opened = opener.open();
    BOOST_REQUIRE(opened.has_value());
    const auto updated = process.update(request_for(*opened, {1, 3}));
    if (!dry) break;
    BOOST_REQUIRE(updated.has_value());
    const auto& log = process.fs.log();
    const auto committed = std::find(log.begin(), log.end(), "sync_directory");
    const char* next = death == Death::committed ? "write" : death == Death::cut ? "sync_directory" : "sync_data";
    const auto found =
        std::find(committed + 1, log.end(), death == Death::moved ? std::string{"truncate"} : std::string{next});
    call = static_cast<std::size_t>(found - log.begin()) - (death == Death::cut ? 1 : 0);
    drop.write_spool(joined({1, 2, 3, 4, 5}));
    std::filesystem::remove(drop.state_path("index"));
  }
  BOOST_REQUIRE(std::filesystem::exists(drop.state_path("journal")));
  if (death != Death::half_moved) return;
  // The tail was written; put the old octets of its second half back, as if the write had not come that far.
  auto bytes = drop.spool();
  const auto old = joined({1, 2, 3, 4, 5});
  const std::size_t first = kMessages[0].size();
  const std::size_t tail = kMessages[2].size() + kMessages[4].size();
  const std::size_t middle = (first + tail / 2) / 512 * 512;
  BOOST_REQUIRE(middle > first);
  bytes.replace(middle, std::string::npos, old, middle, std::string::npos);
  MaildropFixture::write_file(drop.spool_path(), bytes);
}

RecoveredMaildrop recover(const MaildropFixture& drop) {
  Process later{drop};
  later.be_later();
  auto recovered = later.recover();
  BOOST_REQUIRE_MESSAGE(recovered.has_value(), why(recovered));
  BOOST_TEST(!std::filesystem::exists(drop.state_path("journal")));
  return *recovered;
}

bool has_saved_journal(const MaildropFixture& drop) {
  const auto names = drop.state_names();
  return std::ranges::any_of(names, [](const std::string& name) { return name.starts_with("saved-"); });
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

BOOST_AUTO_TEST_CASE(every_place_of_death_is_brought_to_the_end) {
  for (const auto& [death, want] :
       {std::pair{Death::committed, Recovery::redone}, std::pair{Death::half_moved, Recovery::redone},
        std::pair{Death::moved, Recovery::redone}, std::pair{Death::cut, Recovery::finished}}) {
    for (const std::string& arrived : {std::string{}, kNew}) {
      MaildropFixture drop;
      die_at(drop, death);
      MaildropFixture::append_file(drop.spool_path(), arrived);
      const auto recovered = recover(drop);
      BOOST_TEST((recovered.outcome == want));
      BOOST_TEST(recovered.warnings.empty());
      BOOST_TEST((drop.spool() == joined({1, 3, 5}) + arrived));
      BOOST_TEST(!has_saved_journal(drop));
      BOOST_TEST((recover(drop).outcome == Recovery::nothing));
    }
  }
}

/// The process before may have died between the name and its sync: a loss of power would take the journal, and leave
/// the spool half moved.
BOOST_AUTO_TEST_CASE(the_name_of_the_journal_is_durable_before_anything_moves) {
  const MaildropFixture drop;
  die_at(drop, Death::committed);
  Process later{drop};
  later.be_later();
  BOOST_REQUIRE(later.recover().has_value());
  const auto& log = later.fs.log();
  const auto moved = std::ranges::find(log, "sync_data");
  BOOST_REQUIRE((moved != log.end()));
  BOOST_TEST((std::ranges::find(log, "sync_directory") < moved));
}

BOOST_AUTO_TEST_CASE(an_update_finds_a_journal_and_recovers_first) {
  MaildropFixture drop;
  die_at(drop, Death::half_moved);
  Process process{drop};
  process.be_later();
  const auto opened = process.open();
  BOOST_REQUIRE_MESSAGE(opened.has_value(), why(opened));
  BOOST_TEST((opened->recovery == Recovery::redone));
  BOOST_TEST(opened->count == 3U);
}

BOOST_AUTO_TEST_CASE(a_rewritten_spool_is_not_touched_but_completed) {
  struct Case {
    Death death;
    std::string rewritten;
    std::vector<unsigned> want_once;
  };
  const std::string flagged = [] {
    auto text = kMessages[2];
    return text.insert(kPostmark.size(), "Status: RO\n");
  }();
  for (const auto& c : {Case{Death::committed, joined({2, 3, 4, 5}), {2, 3, 4, 5}},  // 1 was deleted by its owner
                        Case{Death::committed, joined({1, 2, 4}), {1, 2, 3, 4, 5}},  // 3 and 5 come back
                        Case{Death::moved, joined({3, 5}), {3, 5}},                  //
                        Case{Death::cut, joined({1, 5}), {1, 3, 5}},                 // 3 comes back
                        Case{Death::cut, joined({5, 3, 1}), {1, 3, 5}},              //
                        Case{Death::cut, joined({1}), {1, 3, 5}},                    //
                        Case{Death::cut, std::string{}, {3, 5}},                     //
                        Case{Death::cut, "no mailbox at all\n", {3, 5}},             //
                        Case{Death::committed, joined({1, 2, 3, 4, 5}) + "not a message\n", {1, 2, 3, 4}},
                        Case{Death::cut, joined({1, 3, 5}) + "not a message\n", {1, 3}},  //
                        Case{Death::cut, kNew + joined({1, 3, 5}), {1, 3, 5}},            //
                        Case{Death::cut, joined({1}) + flagged + joined({5}), {1, 5}}}) {
    MaildropFixture drop;
    die_at(drop, c.death);
    MaildropFixture::write_file(drop.spool_path(), c.rewritten);
    const auto recovered = recover(drop);
    BOOST_TEST((recovered.outcome == Recovery::salvaged));
    BOOST_TEST(recovered.warnings.size() == 1U);
    BOOST_TEST(has_saved_journal(drop));
    const auto got = drop.spool();
    BOOST_TEST(got.starts_with(c.rewritten));
    for (const auto number : c.want_once)
      BOOST_TEST(occurrences(got, kMessages[number - 1]) == 1U, number << " in " << got);
    BOOST_TEST(occurrences(got, "Message-Id: <3@") == 1U, got);  // also where it only got a flag
    BOOST_TEST((recover(drop).outcome == Recovery::nothing));
  }
}

BOOST_AUTO_TEST_CASE(a_change_before_the_first_deleted_octet_is_noticed) {
  MaildropFixture drop;
  die_at(drop, Death::half_moved);
  auto bytes = drop.spool();
  bytes[kPostmark.size() + 20] = '!';
  MaildropFixture::write_file(drop.spool_path(), bytes);
  BOOST_TEST((recover(drop).outcome == Recovery::salvaged));
  BOOST_TEST(drop.spool().starts_with(bytes));
}

/// Some mail programs keep room for their marks and write them in place: same sizes, same boundaries.
BOOST_AUTO_TEST_CASE(a_change_in_place_of_mail_that_would_move_is_not_overwritten) {
  for (const auto death : {Death::committed, Death::moved}) {
    MaildropFixture drop;
    die_at(drop, death);
    auto bytes = drop.spool();
    // Message 3: between the first deleted octet and the new end.
    const auto at = bytes.find("Message-Id: <3@");
    BOOST_REQUIRE(at != std::string::npos);
    bytes[at + 12] = '!';
    MaildropFixture::write_file(drop.spool_path(), bytes);
    BOOST_TEST((recover(drop).outcome == Recovery::salvaged));
    BOOST_TEST(drop.spool().starts_with(bytes));
  }
}

/// The session's process died between commit point and end, and its own update is tried again: where the recovery
/// before it fails, nothing may be planned on what the spool holds half moved.
BOOST_AUTO_TEST_CASE(an_update_whose_recovery_fails_loses_nothing) {
  std::size_t standing = 0;
  std::size_t failed = 0;
  for (std::size_t death = 0; death < 60; ++death) {
    MaildropFixture drop;
    for (std::size_t at = 0;; ++at) {
      drop.clear();
      drop.write_spool(joined({1, 2, 3, 4, 5}));
      Process opener{drop};
      const auto opened = opener.open();
      BOOST_REQUIRE(opened.has_value());
      const auto request = request_for(*opened, {1, 3});
      Process dying{drop, {.kind = Fault::Kind::die, .at = death}};
      static_cast<void>(dying.update(request));
      if (!std::filesystem::exists(drop.state_path("journal"))) break;
      standing += at == 0 ? 1U : 0U;
      Process again{drop, {.kind = Fault::Kind::fail_once, .at = at, .errno_value = EIO}};
      again.be_later();
      const auto updated = again.update(request);
      failed += updated ? 0U : 1U;
      if (again.fs.calls() <= at) break;
      Process later{drop};
      later.be_later();
      BOOST_REQUIRE(later.recover().has_value());
      BOOST_TEST((drop.spool() == joined({1, 3, 5})), "death at call " << death << ", failure of call " << at);
    }
  }
  BOOST_TEST(standing >= 4U);
  BOOST_TEST(failed >= 40U);
}

BOOST_AUTO_TEST_CASE(twins_are_counted_when_messages_are_salvaged) {
  MaildropFixture drop;
  const std::string twin = kMessages[1];
  drop.write_spool(kMessages[0] + twin + twin + twin);
  Process opener{drop};
  auto opened = opener.open();
  Process process{drop, {.kind = Fault::Kind::die, .at = 0}};
  const auto request = request_for(*opened, {0});
  for (std::size_t at = 0; !std::filesystem::exists(drop.state_path("journal")); ++at) {
    Process dying{drop, {.kind = Fault::Kind::die, .at = at}};
    dying.be_later();
    static_cast<void>(dying.update(request));
  }
  MaildropFixture::write_file(drop.spool_path(), twin + kNew);
  BOOST_TEST((recover(drop).outcome == Recovery::salvaged));
  BOOST_TEST(drop.spool() == twin + kNew + twin + twin);
}

BOOST_AUTO_TEST_CASE(salvaged_messages_are_not_glued_to_an_unfinished_one) {
  MaildropFixture drop;
  die_at(drop, Death::cut);
  const std::string cut = kNew.substr(0, kNew.size() - 20);
  MaildropFixture::write_file(drop.spool_path(), cut);
  recover(drop);
  BOOST_TEST((drop.spool() == cut + "\n\n" + joined({3, 5})));
}

BOOST_AUTO_TEST_CASE(a_spool_that_is_gone_is_made_anew_for_the_kept_messages) {
  MaildropFixture drop;
  die_at(drop, Death::half_moved);
  std::filesystem::remove(drop.spool_path());
  BOOST_TEST((recover(drop).outcome == Recovery::salvaged));
  BOOST_TEST((drop.spool() == joined({3, 5})));
  struct stat status {};
  BOOST_REQUIRE(::stat(drop.spool_path().c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 0777U) == 0600U);
}

BOOST_AUTO_TEST_CASE(a_damaged_journal_is_set_aside_and_the_spool_left_alone) {
  MaildropFixture drop;
  die_at(drop, Death::committed);
  const auto journal = MaildropFixture::read_file(drop.state_path("journal"));
  const auto spool = drop.spool();
  for (std::size_t at = 0; at < journal.size(); at += at < 120 ? 1 : 37) {
    if (at >= sizeof(JournalHeader) && at < kTailOffset) continue;  // padding
    if (at >= 8 && at < 12) continue;                               // version: the next test
    auto damaged = journal;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    MaildropFixture::write_file(drop.state_path("journal"), damaged);
    BOOST_REQUIRE_MESSAGE((recover(drop).outcome == Recovery::set_aside), "octet " << at);
    BOOST_REQUIRE(drop.spool() == spool);
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, journal.size() / 2, journal.size() - 1}) {
    MaildropFixture::write_file(drop.state_path("journal"), journal.substr(0, size));
    BOOST_TEST((recover(drop).outcome == Recovery::set_aside));
  }
}

BOOST_AUTO_TEST_CASE(a_journal_of_a_later_version_stops_everything) {
  MaildropFixture drop;
  die_at(drop, Death::committed);
  auto journal = MaildropFixture::read_file(drop.state_path("journal"));
  journal[8] = 3;
  MaildropFixture::write_file(drop.state_path("journal"), journal);
  Process later{drop};
  later.be_later();
  BOOST_TEST((later.recover().error().kind() == ErrorKind::unsupported));
  BOOST_TEST((later.open().error().kind() == ErrorKind::unsupported));
  BOOST_TEST(MaildropFixture::read_file(drop.state_path("journal")) == journal);
}

BOOST_AUTO_TEST_CASE(a_journal_that_another_process_works_on_is_left_to_it) {
  MaildropFixture drop;
  die_at(drop, Death::half_moved);
  const auto spool = drop.spool();
  {
    const base::UniqueFd orphan{::open(drop.state_path("journal").c_str(), O_RDWR | O_CLOEXEC)};
    BOOST_REQUIRE(::flock(orphan.get(), LOCK_EX) == 0);
    Process later{drop};
    later.be_later();
    const auto refused = later.recover();
    BOOST_REQUIRE(!refused.has_value());
    BOOST_TEST((refused.error().kind() == ErrorKind::busy));
    BOOST_TEST(drop.spool() == spool);
  }
  BOOST_TEST((recover(drop).outcome == Recovery::redone));
}

BOOST_AUTO_TEST_CASE(a_recovery_is_told_of_when_the_open_behind_it_fails) {
  MaildropFixture drop;
  die_at(drop, Death::half_moved);
  MaildropFixture::write_file(drop.spool_path(), "no mailbox at all\n");
  Process later{drop};
  later.be_later();
  std::vector<Recovery> told;
  MaildropSettings settings;
  settings.on_lost_recovery = [&](Recovery recovery, const Warnings& warnings) {
    told.push_back(recovery);
    BOOST_TEST(warnings.size() == 1U);
  };
  BOOST_TEST((later.open(settings).error().kind() == ErrorKind::malformed));
  BOOST_TEST((told == std::vector{Recovery::salvaged}));
}

BOOST_AUTO_TEST_CASE(remains_of_an_unfinished_journal_go_and_nothing_else_happens) {
  MaildropFixture drop;
  drop.write_spool(joined({1, 2}));
  MaildropFixture::write_file(drop.state_path("journal.tmp"), "half");
  Process process{drop};
  BOOST_TEST((process.open()->recovery == Recovery::nothing));
  BOOST_TEST(!std::filesystem::exists(drop.state_path("journal.tmp")));
  BOOST_TEST((drop.spool() == joined({1, 2})));
}

BOOST_AUTO_TEST_CASE(without_a_journal_recovery_takes_no_lock) {
  MaildropFixture drop;
  drop.write_spool(joined({1, 2}));
  Process process{drop};
  BOOST_TEST((process.recover()->outcome == Recovery::nothing));
  BOOST_TEST(process.fs.calls() == 3U);
}

// A delivery agent that takes no locks.

struct Intruder {
  const MaildropFixture* drop = nullptr;
  std::string call;       ///< before which call it writes
  std::size_t skip = 0;   ///< how many such calls go by first
  std::size_t times = 1;  ///< how often it writes
};

void append_without_lock(FaultFileSystem& fs, std::string_view call) {
  auto& intruder = *static_cast<Intruder*>(fs.intruder_data);
  if (call != intruder.call || intruder.times == 0) return;
  if (intruder.skip > 0) {
    --intruder.skip;
    return;
  }
  --intruder.times;
  MaildropFixture::append_file(intruder.drop->spool_path(), kNew);
}

base::Result<UpdatedMaildrop> update_with_intruder(const MaildropFixture& drop, const std::vector<unsigned>& deleted,
                                                   Intruder intruder) {
  drop.write_spool(joined({1, 2, 3, 4, 5}));
  Process process{drop};
  const auto opened = process.open();
  const auto request = request_for(*opened, deleted);
  intruder.drop = &drop;
  process.fs.intruder_data = &intruder;
  process.fs.intruder = append_without_lock;
  return process.update(request);
}

BOOST_AUTO_TEST_CASE(mail_that_comes_without_locks_behind_the_commit_point_is_carried_along) {
  for (const auto& [call, skip] :
       {std::pair{std::string{"rename journal"}, 0U}, std::pair{std::string{"sync_directory"}, 0U},
        std::pair{std::string{"sync_data"}, 0U}}) {
    MaildropFixture drop;
    const auto updated = update_with_intruder(drop, {1, 3}, {.drop = nullptr, .call = call, .skip = skip, .times = 1});
    BOOST_REQUIRE_MESSAGE(updated.has_value(), why(updated));
    BOOST_TEST((drop.spool() == joined({1, 3, 5}) + kNew), call);
    BOOST_TEST(!std::filesystem::exists(drop.state_path("journal")));
  }
  MaildropFixture drop;
  const auto updated =
      update_with_intruder(drop, {1, 3}, {.drop = nullptr, .call = "sync_data", .skip = 0, .times = 3});
  BOOST_REQUIRE_MESSAGE(updated.has_value(), why(updated));
  BOOST_TEST((drop.spool() == joined({1, 3, 5}) + kNew + kNew + kNew));
  Process process{drop};
  BOOST_TEST(process.open()->count == 6U);
}

BOOST_AUTO_TEST_CASE(a_spool_that_never_stops_growing_leaves_the_journal_for_later) {
  MaildropFixture drop;
  const auto updated =
      update_with_intruder(drop, {1, 3}, {.drop = nullptr, .call = "sync_data", .skip = 0, .times = 1000});
  BOOST_REQUIRE(!updated.has_value());
  BOOST_TEST((updated.error().kind() == ErrorKind::busy));
  BOOST_TEST(std::filesystem::exists(drop.state_path("journal")));
  BOOST_TEST((recover(drop).outcome == Recovery::redone));
  const auto got = drop.spool();
  BOOST_TEST(got.starts_with(joined({1, 3, 5}) + kNew + kNew));
  BOOST_TEST((got.size() - joined({1, 3, 5}).size()) % kNew.size() == 0U);
}

BOOST_AUTO_TEST_CASE(mail_that_comes_without_locks_before_the_commit_point_stops_a_cut) {
  // Between the look at the heads and the cut.
  MaildropFixture drop;
  drop.write_spool(joined({1, 2, 3}));
  Process process{drop};
  Warnings warnings;
  auto lock = MailLock::acquire(process.context(), drop.paths(), {}, 1000, warnings);
  BOOST_REQUIRE(lock.has_value());
  const auto listing = list_spool(process.context(), drop.paths(), *lock);
  BOOST_REQUIRE(listing.has_value());
  MaildropFixture::append_file(drop.spool_path(), kNew);
  const auto cut = apply_update(
      process.context(), drop.paths(), *lock, *listing, {.deleted = {false, false, true}}, [](std::uint64_t) {}, warnings);
  BOOST_REQUIRE(!cut.has_value());
  BOOST_TEST((cut.error().kind() == ErrorKind::changed));
  BOOST_TEST((drop.spool() == joined({1, 2, 3}) + kNew));
}

BOOST_AUTO_TEST_CASE(a_message_that_does_not_stand_where_it_was_listed_is_not_removed) {
  MaildropFixture drop;
  drop.write_spool(joined({1, 2, 3}));
  Process process{drop};
  Warnings warnings;
  auto lock = MailLock::acquire(process.context(), drop.paths(), {}, 1000, warnings);
  const auto listing = list_spool(process.context(), drop.paths(), *lock);
  BOOST_REQUIRE(listing.has_value());
  for (const unsigned changed : {2U, 3U}) {  // the deleted one, and the one behind it
    auto other = joined({1, 2, 3});
    other[joined({1, 2, 3}).find(kMessages[changed - 1]) + kPostmark.size() + 15] = '!';
    MaildropFixture::write_file(drop.spool_path(), other);
    const auto done = apply_update(
        process.context(), drop.paths(), *lock, *listing, {.deleted = {false, true, false}}, [](std::uint64_t) {}, warnings);
    BOOST_REQUIRE(!done.has_value());
    BOOST_TEST((done.error().kind() == ErrorKind::changed));
    BOOST_TEST(drop.spool() == other);
  }
}

BOOST_AUTO_TEST_CASE(a_plan_joins_neighbours_and_moves_records) {
  SpoolListing listing;
  for (const std::uint64_t offset : {10U, 30U, 60U, 100U, 150U}) {
    listing::Record record;
    record.offset = offset;
    listing.records.push_back(record);
  }
  listing.header.end = 210;
  const auto plan = plan_update(listing, {false, true, false});
  BOOST_TEST(plan.first == 30U);
  BOOST_TEST(plan.old_size == 210U);
  BOOST_TEST((plan.tail == std::vector<Range>{{60, 150}}));
  BOOST_TEST(plan.tail_size == 150U);
  BOOST_TEST(plan.kept.size() == 4U);
  BOOST_TEST(plan.kept[1].offset == 30U);
  BOOST_TEST(plan.kept[3].offset == 120U);
  const auto comb = plan_update(listing, {true, false, true, false, true});
  BOOST_TEST((comb.tail == std::vector<Range>{{30, 30}, {100, 50}}));
  BOOST_TEST((comb.first == 10U && comb.kept[1].offset == 40U));
}

}  // namespace
