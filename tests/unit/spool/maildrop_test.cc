// SPDX-License-Identifier: MIT
// Open and update as a session sees them.
#include "common/spool/maildrop.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "common/mbox/unique_id.h"
#include "tests/fault/maildrop_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using namespace qpop::test;
using base::ErrorKind;

const std::string kOne = mbox_message(1);
const std::string kTwo = mbox_message(2, 700);
const std::string kThree = mbox_message(3);
const std::string kNew = mbox_message(9, 300);

std::string content(const std::string& message) {
  return message.substr(kPostmark.size(), message.size() - kPostmark.size() - 1);
}

BOOST_AUTO_TEST_CASE(no_spool_and_an_empty_spool_are_maildrops_without_mail) {
  MaildropFixture drop;
  for (int round = 0; round < 2; ++round) {
    Process process{drop};
    const auto opened = process.open();
    BOOST_REQUIRE(opened.has_value());
    BOOST_TEST(opened->count == 0U);
    BOOST_TEST(!opened->spool.valid());
    BOOST_TEST(listing::ListingReader::open(opened->listing.get())->count() == 0U);
    BOOST_TEST(process.fs.count("lock_record") == 0U);
    drop.write_spool("");
  }
}

BOOST_AUTO_TEST_CASE(first_open_scans_the_second_needs_neither_scan_nor_mail_lock) {
  MaildropFixture drop;
  drop.write_spool(kOne + kTwo);
  std::vector<std::string> ids;
  {
    Process process{drop};
    const auto opened = process.open();
    BOOST_REQUIRE(opened.has_value());
    BOOST_TEST((opened->source == ListingSource::scanned));
    BOOST_TEST(opened->octets_scanned == kOne.size() + kTwo.size());
    BOOST_TEST((contents_of(*opened) == std::vector{content(kOne), content(kTwo)}));
    BOOST_TEST(opened->warnings.empty());
    ids = unique_ids_of(*opened);
    BOOST_TEST(::fcntl(opened->spool.get(), F_GETFL) % 4 == O_RDONLY);
    BOOST_TEST(::fcntl(opened->listing.get(), F_GETFL) % 4 == O_RDONLY);
  }
  BOOST_TEST(!std::filesystem::exists(drop.lock_path()));
  Process process{drop};
  const auto opened = process.open();
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST((opened->source == ListingSource::from_index));
  BOOST_TEST(opened->octets_scanned == 0U);
  BOOST_TEST(opened->count == 2U);
  BOOST_TEST(process.fs.count("lock_record") == 0U);
  BOOST_TEST(process.fs.count("open ada.lock") == 0U);
  BOOST_TEST((unique_ids_of(*opened) == ids));
}

BOOST_AUTO_TEST_CASE(a_second_session_is_refused) {
  MaildropFixture drop;
  drop.write_spool(kOne);
  Process first{drop};
  Process second{drop};
  auto opened = first.open();
  BOOST_REQUIRE(opened.has_value());
  const auto refused = second.open();
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST((refused.error().kind() == ErrorKind::busy));
  BOOST_TEST(refused.error().detail().starts_with("session"));
  opened->session_lock.reset();
  BOOST_TEST(second.open().has_value());
}

BOOST_AUTO_TEST_CASE(appended_mail_is_scanned_alone_and_unique_ids_stay) {
  MaildropFixture drop;
  drop.write_spool(kOne + kOne);
  Process process{drop};
  const auto before = unique_ids_of(*process.open());
  BOOST_TEST(before[1] == before[0] + ".2");
  drop.append_spool(kOne + kNew);
  const auto opened = process.open();
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST((opened->source == ListingSource::grown));
  BOOST_TEST(opened->octets_scanned == kOne.size() + kNew.size());
  const auto after = unique_ids_of(*opened);
  BOOST_TEST(after.size() == 4U);
  BOOST_TEST(after[0] == before[0]);
  BOOST_TEST(after[1] == before[1]);
  BOOST_TEST(after[2] == before[0] + ".3");
}

BOOST_AUTO_TEST_CASE(growth_that_does_not_start_a_message_or_a_changed_tail_is_scanned_whole) {
  for (const std::string& grown : {kOne + "more\n", kTwo + kOne + "\n" + kNew, kOne + "\n" + kNew}) {
    MaildropFixture drop;
    drop.write_spool(kOne);
    Process process{drop};
    BOOST_REQUIRE(process.open().has_value());
    drop.write_spool(grown);
    const auto opened = process.open();
    BOOST_REQUIRE(opened.has_value());
    BOOST_TEST((opened->source == ListingSource::scanned));
  }
}

BOOST_AUTO_TEST_CASE(a_young_time_stamp_is_not_trusted) {
  MaildropFixture drop;
  drop.write_spool(kOne);
  MaildropFixture::append_file(drop.spool_path(), "");
  ::utimensat(AT_FDCWD, drop.spool_path().c_str(), nullptr, 0);
  Process process{drop};
  BOOST_TEST((process.open()->source == ListingSource::scanned));
  process.clock.advance_ms(1000);
  BOOST_TEST((process.open()->source == ListingSource::scanned));
  BOOST_TEST((process.open()->source == ListingSource::from_index));
  BOOST_TEST(is_young({.mtime_ns = 5'000'000'000}, 6'900'000'000));
  BOOST_TEST(!is_young({.mtime_ns = 5'000'000'000}, 7'100'000'000));
  BOOST_TEST(!is_young({.mtime_ns = 5'000'000'001}, 6'900'000'000));
  BOOST_TEST(is_young({.mtime_ns = 5'000'000'001}, 4'000'000'000));
}

void reading_takes_a_second(FaultFileSystem& fs, std::string_view call) {
  if (call == "read") static_cast<FakeClock*>(fs.intruder_data)->advance_ms(1000);
}

BOOST_AUTO_TEST_CASE(a_time_stamp_does_not_grow_old_during_the_scan) {
  MaildropFixture drop;
  drop.write_spool(kOne);
  ::utimensat(AT_FDCWD, drop.spool_path().c_str(), nullptr, 0);
  Process process{drop};
  process.fs.intruder_data = &process.clock;
  process.fs.intruder = reading_takes_a_second;
  BOOST_REQUIRE(process.open().has_value());
  BOOST_TEST((process.open()->source == ListingSource::scanned));
}

BOOST_AUTO_TEST_CASE(unique_ids_survive_a_rewrite_by_another_program_and_the_loss_of_the_index) {
  MaildropFixture drop;
  drop.write_spool(kOne + kTwo + kThree);
  Process process{drop};
  const auto before = unique_ids_of(*process.open());
  std::string marked = kThree;
  marked.insert(kPostmark.size(), "Status: RO\nX-UID: 3\n");
  drop.write_spool(kTwo + marked);
  const auto after = unique_ids_of(*process.open());
  BOOST_TEST((after == std::vector{before[1], before[2]}));
  std::filesystem::remove(drop.state_path("index"));
  BOOST_TEST((unique_ids_of(*process.open()) == after));
}

BOOST_AUTO_TEST_CASE(a_damaged_index_is_as_good_as_none) {
  MaildropFixture drop;
  drop.write_spool(kOne + kTwo);
  Process process{drop};
  BOOST_REQUIRE(process.open().has_value());
  const auto index = MaildropFixture::read_file(drop.state_path("index"));
  for (const std::size_t at : {std::size_t{3}, std::size_t{40}, index.size() - 50}) {
    auto damaged = index;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    MaildropFixture::write_file(drop.state_path("index"), damaged);
    const auto opened = process.open();
    BOOST_TEST((opened->source == ListingSource::scanned));
    BOOST_TEST(opened->count == 2U);
  }
  MaildropFixture::write_file(drop.state_path("index"), index.substr(0, index.size() - 1));
  BOOST_TEST((process.open()->source == ListingSource::scanned));
}

BOOST_AUTO_TEST_CASE(without_a_writable_state_folder_the_listing_is_a_sealed_file_in_memory) {
  MaildropFixture drop;
  drop.write_spool(kOne);
  // Where index.tmp cannot be made because a folder has its name.
  ::mkdir(drop.state_path("index.tmp").c_str(), 0700);
  Process process{drop};
  const auto opened = process.open();
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST(opened->warnings.size() == 1U);
  BOOST_TEST(opened->count == 1U);
  BOOST_TEST((contents_of(*opened) == std::vector{content(kOne)}));
  BOOST_TEST(::pwrite(opened->listing.get(), "x", 1, 0) == -1);
  BOOST_TEST(::ftruncate(opened->listing.get(), 0) == -1);
}

BOOST_AUTO_TEST_CASE(what_is_no_plain_spool_of_the_owner_is_refused_by_name) {
  MaildropFixture drop;
  Process process{drop};
  const auto refused = [&](const std::string& want) {
    const auto opened = process.open();
    BOOST_REQUIRE(!opened.has_value());
    BOOST_TEST((opened.error().kind() == ErrorKind::unsafe));
    BOOST_TEST(opened.error().detail().find(want) != std::string::npos, opened.error().detail());
    std::filesystem::remove(drop.spool_path());
  };
  MaildropFixture::write_file(drop.spool_path() + "-real", kOne);
  std::filesystem::create_symlink("ada-real", drop.spool_path());
  refused("symbolic link");
  std::filesystem::create_directory(drop.spool_path());
  refused("directory");
  BOOST_REQUIRE(::mkfifo(drop.spool_path().c_str(), 0600) == 0);
  refused("fifo");
  std::filesystem::create_hard_link(drop.spool_path() + "-real", drop.spool_path());
  refused("2 links");
  drop.write_spool(kOne);
  auto paths = drop.paths();
  paths.owner_uid += 1;
  const auto foreign = open_maildrop(process.context(), paths, {});
  BOOST_REQUIRE(!foreign.has_value());
  BOOST_TEST((foreign.error().kind() == ErrorKind::unsafe));
  BOOST_TEST(foreign.error().detail().find("belongs to uid") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(text_that_is_no_mailbox_is_an_error_and_not_an_empty_maildrop) {
  MaildropFixture drop;
  drop.write_spool("\nhello\n");
  Process process{drop};
  const auto opened = process.open();
  BOOST_REQUIRE(!opened.has_value());
  BOOST_TEST((opened.error().kind() == ErrorKind::malformed));
  BOOST_TEST(opened.error().detail().starts_with("octet 1:"));
  BOOST_TEST((process.open().error().kind() == ErrorKind::malformed));  // and the session lock is free again
}

ino_t inode_of(const std::string& path) {
  struct stat status {};
  BOOST_REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_ino;
}

template <class T>
std::string why(const base::Result<T>& result) {
  return result ? "" : result.error().message();
}

struct UpdateCase {
  std::string name;
  std::vector<unsigned> deleted;
  std::string arrived, want;
};

void check_update(const std::string& spool, const UpdateCase& c, const std::string& head = "") {
  MaildropFixture drop;
  drop.write_spool(head + spool);
  Process process{drop};
  const auto opened = process.open();
  BOOST_REQUIRE(opened.has_value());
  const auto inode = inode_of(drop.spool_path());
  const auto request = request_for(*opened, c.deleted);
  if (!c.arrived.empty()) drop.append_spool(c.arrived);
  const auto updated = process.update(request);
  BOOST_REQUIRE_MESSAGE(updated.has_value(), c.name << ": " << why(updated));
  BOOST_TEST(updated->removed == c.deleted.size());
  BOOST_TEST(updated->warnings.empty());
  BOOST_TEST(drop.spool() == head + c.want, c.name);
  auto names = drop.state_names();
  std::ranges::sort(names);
  BOOST_TEST((names == std::vector<std::string>{"index", "reserve", "session", "unique-ids"}));
  BOOST_TEST(!std::filesystem::exists(drop.lock_path()));
  BOOST_TEST(inode_of(drop.spool_path()) == inode);
}

BOOST_AUTO_TEST_CASE(removes_any_set_of_messages_and_nothing_else) {
  const std::vector<std::string> m{kOne, kTwo, kThree, mbox_message(4, 1500), mbox_message(5)};
  const std::string all = m[0] + m[1] + m[2] + m[3] + m[4];
  for (unsigned bits = 1; bits < 32; ++bits) {
    for (const std::string& arrived : {std::string{}, kNew}) {
      UpdateCase c{.name = "set " + std::to_string(bits), .deleted = {}, .arrived = arrived, .want = {}};
      for (unsigned i = 0; i < 5; ++i) {
        if ((bits >> i & 1U) != 0) {
          c.deleted.push_back(i);
        } else {
          c.want += m[i];
        }
      }
      c.want += arrived;
      check_update(all, c);
      if (bits % 5 == 0) check_update(all, c, "\n\r\n\n");
    }
  }
}

BOOST_AUTO_TEST_CASE(removes_from_mmdf) {
  const std::string a = mmdf_message(1);
  const std::string b = mmdf_message(2, 900);
  const std::string c = mmdf_message(3);
  check_update(a + b + c, {"first", {0}, "", b + c});
  check_update(a + b + c, {"middle", {1}, mmdf_message(4), a + c + mmdf_message(4)});
  check_update(a + b + c, {"last", {2}, "", a + b});
  check_update(a + b + c, {"all", {0, 1, 2}, "", ""});
  const std::string open = c.substr(0, c.size() - kSeparator.size());
  check_update(a + b + open, {"last without closing separator", {0}, "", b + c});
}

BOOST_AUTO_TEST_CASE(a_last_message_without_end_gets_one_when_it_moves) {
  const std::string cut = kThree.substr(0, kThree.size() - 2);
  check_update(kOne + kTwo + cut, {"no line end", {0}, "", kTwo + kThree});
  check_update(kOne + kTwo + kThree.substr(0, kThree.size() - 1), {"no empty line", {1}, "", kOne + kThree});
  check_update(kOne + kTwo + cut, {"all but the last", {0, 1}, "", kThree});
  check_update(kOne + kTwo + cut, {"the last itself", {2}, "", kOne + kTwo});
  check_update(kOne + kPostmark + "Subject: header only",
               {"header only", {0}, "", kPostmark + "Subject: header only\n\n"});
}

BOOST_AUTO_TEST_CASE(index_unique_ids_and_times_after_an_update) {
  for (const std::string& last : {kThree, kThree.substr(0, kThree.size() - 2)}) {
    MaildropFixture drop;
    drop.write_spool(kOne + kTwo + kOne + last);
    Process process{drop};
    std::vector<std::string> before;
    struct stat old_status {};
    ::stat(drop.spool_path().c_str(), &old_status);
    {
      const auto opened = process.open();
      before = unique_ids_of(*opened);
      BOOST_REQUIRE(process.update(request_for(*opened, {0})).has_value());
    }
    struct stat status {};
    ::stat(drop.spool_path().c_str(), &status);
    BOOST_TEST(status.st_ino == old_status.st_ino);
    BOOST_TEST(status.st_mtim.tv_sec >= old_status.st_mtim.tv_sec);
    BOOST_TEST(status.st_atim.tv_sec == old_status.st_atim.tv_sec);  // new mail before, new mail now
    auto opened = process.open();
    BOOST_TEST((opened->source == ListingSource::from_index));
    BOOST_TEST((unique_ids_of(*opened) == std::vector{before[1], before[2], before[3]}));
    BOOST_TEST((contents_of(*opened) == std::vector{content(kTwo), content(kOne), content(kThree)}));
    // The index says what a scan would say, unique-ids of twins apart.
    const auto reader = listing::ListingReader::open(opened->listing.get());
    auto records = *reader->all_records();
    std::filesystem::remove(drop.state_path("index"));
    opened->session_lock.reset();
    const auto scanned = process.open();
    auto want = *listing::ListingReader::open(scanned->listing.get())->all_records();
    for (auto* list : {&records, &want}) {
      for (auto& record : *list) mbox::set_unique_id(record, "x");
    }
    BOOST_TEST((listing::hash_records(records) == listing::hash_records(want)));
  }
}

BOOST_AUTO_TEST_CASE(read_mail_stays_read_for_mailers) {
  MaildropFixture drop;
  drop.write_spool(kOne + kTwo);
  const timespec times[2] = {{2'000'000'000, 5}, {1'000'000'000, 7}};
  ::utimensat(AT_FDCWD, drop.spool_path().c_str(), times, 0);
  Process process{drop};
  const auto opened = process.open();
  BOOST_REQUIRE(process.update(request_for(*opened, {0})).has_value());
  struct stat status {};
  ::stat(drop.spool_path().c_str(), &status);
  BOOST_TEST((status.st_atim.tv_sec >= status.st_mtim.tv_sec));
}

BOOST_AUTO_TEST_CASE(nothing_marked_writes_nothing_and_locks_nothing) {
  MaildropFixture drop;
  drop.write_spool(kOne);
  Process process{drop};
  const auto opened = process.open();
  const auto before = process.fs.calls();
  BOOST_REQUIRE(process.update(request_for(*opened, {})).has_value());
  BOOST_TEST(process.fs.calls() - before == 3U);  // two looks at the session lock, one flock
}

BOOST_AUTO_TEST_CASE(syncs_of_an_update) {
  for (const auto& [deleted, syncs, data_syncs, folder_syncs] :
       {std::tuple{std::vector<unsigned>{2}, 1U, 0U, 1U}, std::tuple{std::vector<unsigned>{0}, 2U, 1U, 2U},
        std::tuple{std::vector<unsigned>{0, 1}, 2U, 1U, 2U}}) {
    MaildropFixture drop;
    drop.write_spool(kOne + kTwo + kThree);
    Process process{drop};
    const auto opened = process.open();
    Process updater{drop};
    BOOST_REQUIRE(updater.update(request_for(*opened, deleted)).has_value());
    BOOST_TEST(updater.fs.count("sync") == syncs);
    BOOST_TEST(updater.fs.count("sync_data") == data_syncs);
    BOOST_TEST(updater.fs.count("sync_directory") == folder_syncs);
  }
}

base::Result<UpdatedMaildrop> update_after_rewrite(const MaildropFixture& drop, const std::string& before,
                                                   const std::vector<unsigned>& deleted, const std::string& now,
                                                   bool with_listing = true) {
  drop.write_spool(before);
  Process process{drop};
  const auto opened = process.open();
  BOOST_REQUIRE(opened.has_value());
  drop.write_spool(now);
  auto request = request_for(*opened, deleted);
  if (!with_listing) request.listing_fd = opened->spool.get();
  return process.update(request);
}

BOOST_AUTO_TEST_CASE(marked_messages_are_found_in_a_spool_that_was_rewritten) {
  const std::string all = kOne + kTwo + kThree;
  const std::string edited = kOne.substr(0, kOne.size() - 1) + "x\n\n";
  auto flagged = kOne;
  flagged.insert(kPostmark.size(), "Status: RO\n");
  for (const auto& [now, want] : {std::pair{kTwo + kThree, kTwo + kThree}, std::pair{kOne + kThree, kThree},
                                  std::pair{kThree + kTwo + kOne, kThree + kTwo}, std::pair{std::string{}, std::string{}},
                                  std::pair{edited + kTwo, edited + kTwo}, std::pair{flagged + kTwo + kNew, kTwo + kNew}}) {
    MaildropFixture drop;
    const auto updated = update_after_rewrite(drop, all, {0}, now);
    BOOST_REQUIRE_MESSAGE(updated.has_value(), why(updated));
    BOOST_TEST(drop.spool() == want);
    BOOST_TEST(updated->removed == (now == want ? 0U : 1U));
    BOOST_TEST(updated->warnings.size() == 1U);
  }
}

BOOST_AUTO_TEST_CASE(twins_in_a_rewritten_spool_are_removed_together_or_not_at_all) {
  MaildropFixture drop;
  const auto one_of_two = update_after_rewrite(drop, kOne + kOne + kTwo, {0}, kTwo + kOne + kOne);
  BOOST_REQUIRE(!one_of_two.has_value());
  BOOST_TEST((one_of_two.error().kind() == ErrorKind::changed));
  BOOST_TEST(drop.spool() == kTwo + kOne + kOne);
  BOOST_TEST(update_after_rewrite(drop, kOne + kOne + kTwo, {0, 1}, kTwo + kOne + kOne)->removed == 2U);
  BOOST_TEST(drop.spool() == kTwo);
  BOOST_TEST(update_after_rewrite(drop, kOne + kOne + kTwo, {0, 1}, kTwo + kOne)->removed == 1U);
  BOOST_TEST(drop.spool() == kTwo);
  // One that looks like it and came later is not the one that the client saw.
  BOOST_TEST((update_after_rewrite(drop, kOne + kTwo, {0}, kTwo + kOne + kOne).error().kind() == ErrorKind::changed));
}

BOOST_AUTO_TEST_CASE(a_rewritten_spool_is_left_alone_without_the_listing_of_the_session) {
  MaildropFixture drop;
  BOOST_TEST(!update_after_rewrite(drop, kOne + kTwo, {0}, kTwo + kOne, false).has_value());
  BOOST_TEST(drop.spool() == kTwo + kOne);
  drop.write_spool(kOne + kTwo + kThree);
  Process process{drop};
  const auto opened = process.open();
  std::filesystem::remove(drop.spool_path());
  BOOST_TEST((process.update(request_for(*opened, {0})).error().kind() == ErrorKind::changed));
}

BOOST_AUTO_TEST_CASE(an_update_without_the_session_lock_is_refused) {
  MaildropFixture drop;
  drop.write_spool(kOne + kTwo);
  Process process{drop};
  const auto opened = process.open();
  auto request = request_for(*opened, {0});
  const base::UniqueFd other{::open(drop.state_path("session").c_str(), O_RDWR | O_CLOEXEC)};
  request.session_lock_fd = other.get();
  BOOST_TEST((process.update(request).error().kind() == ErrorKind::busy));
  request.session_lock_fd = opened->spool.get();
  BOOST_TEST((process.update(request).error().kind() == ErrorKind::unsafe));
  request.session_lock_fd = -1;
  BOOST_TEST(!process.update(request).has_value());
  request = request_for(*opened, {0});
  request.deleted.push_back(true);
  BOOST_TEST((process.update(request).error().kind() == ErrorKind::limit));
  BOOST_TEST(drop.spool() == kOne + kTwo);
}

BOOST_AUTO_TEST_CASE(large_messages_move_in_pieces) {
  const std::string big = mbox_message(7, 900'000);
  check_update(kOne + big + kTwo + big, {"big", {0, 2}, kNew, big + big + kNew});
}

}  // namespace
