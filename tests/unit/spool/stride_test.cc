// SPDX-License-Identifier: MIT
// Strides: what is still needed is never overwritten; the journal without mail redoes exactly what was committed, one
// stride or many, on a full disk too, and leaves alone what it does not recognise.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>
#include <utility>

#include "common/spool/recovery.h"
#include "common/spool/stride_journal.h"
#include "tests/fault/maildrop_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using namespace qpop::test;
using base::ErrorKind;

BOOST_AUTO_TEST_CASE(a_stride_never_overwrites_what_was_not_copied) {
  std::mt19937 random{7};
  for (int round = 0; round < 2000; ++round) {
    const std::uint64_t first = random() % 50;
    std::vector<Range> sources;
    std::uint64_t at = first;
    for (std::size_t i = 1 + random() % 6; i > 0; --i) {
      at += 1 + random() % 40;
      sources.push_back({.offset = at, .length = 1 + random() % 90});
      at += sources.back().length;
    }
    std::string file(at, '\0');
    for (auto& octet : file) octet = static_cast<char>('a' + random() % 26);
    std::string want = file.substr(0, first);
    for (const auto& source : sources) want += file.substr(source.offset, source.length);
    const auto strides = plan_strides(first, sources, 1000);
    BOOST_REQUIRE(strides.has_value());
    std::uint64_t to = first;
    for (const auto& stride : *strides) {
      const auto before = file;
      BOOST_REQUIRE(stride.to == to);
      BOOST_REQUIRE(for_each_part(sources, stride, [&](Range part) -> base::Status {
        // From the file as it was: a stride may be torn or repeated, in any order of its octets.
        file.replace(to, part.length, before, part.offset, part.length);
        to += part.length;
        BOOST_REQUIRE(stride.to + stride.length <= part.offset);
        return {};
      }));
      BOOST_REQUIRE(to == stride.to + stride.length);
    }
    BOOST_REQUIRE(file.substr(0, to) == want);
    BOOST_REQUIRE(!plan_strides(first, sources, strides->size() - 1).has_value());
  }
}

/// A disk without room: no file grows, none is made.
class FullDisk final : public FaultFileSystem {
 public:
  using FaultFileSystem::FaultFileSystem;
  base::Result<base::UniqueFd> open_at(int folder, const std::string& name, int flags, unsigned mode) override {
    const bool may_be_made = (flags & O_CREAT) == 0 || name.ends_with(".lock");
    if (!may_be_made && !SystemFileSystem::status_at(folder, name)) return base::Error::from_errno(ENOSPC, "open");
    return FaultFileSystem::open_at(folder, name, flags, mode);
  }
  base::Status allocate(int, std::uint64_t) override { return base::Error::from_errno(ENOSPC, "allocate"); }
};
using FullDiskProcess = BasicProcess<FullDisk>;

struct Box {
  std::vector<std::string> messages;
  std::vector<unsigned> deleted;
  [[nodiscard]] std::string all() const { return without({}); }
  [[nodiscard]] std::string kept() const { return without(deleted); }

 private:
  [[nodiscard]] std::string without(const std::vector<unsigned>& left_out) const {
    std::string out;
    for (unsigned i = 0; i < messages.size(); ++i) {
      if (std::ranges::find(left_out, i) == left_out.end()) out += messages[i];
    }
    return out;
  }
};

Box box(std::vector<unsigned> deleted) {
  Box out{.messages = {}, .deleted = std::move(deleted)};
  for (unsigned i = 0; i < 12; ++i) out.messages.push_back(mbox_message(i, 100 + 531 * (i % 4)));
  return out;
}
const Box kOneStride = box({0, 1, 2, 3, 4, 5, 6, 8, 10});
const Box kManyStrides = box({1, 4, 5, 9});

/// The update dies at the n-th call, or at the n-th write. False: it does not have so many.
bool die_at(const MaildropFixture& drop, const Box& b, Fault fault) {
  drop.write_spool(b.all());
  std::filesystem::remove(drop.state_path("index"));
  Process opener{drop};
  opener.be_later();
  const auto opened = opener.open();
  BOOST_REQUIRE(opened.has_value());
  FullDiskProcess dying{drop, fault};
  dying.be_later();
  static_cast<void>(dying.update(request_for(*opened, b.deleted)));
  return dying.fs.dead();
}

Recovery recover(const MaildropFixture& drop) {
  Process later{drop};
  later.be_later();
  const auto recovered = later.recover();
  BOOST_REQUIRE(recovered.has_value());
  BOOST_REQUIRE(!std::filesystem::exists(drop.state_path("journal")));
  return recovered->outcome;
}

const std::string kNew = mbox_message(90, 300);

BOOST_AUTO_TEST_CASE(every_death_is_brought_to_the_end_or_to_the_beginning) {
  for (const auto& b : {kOneStride, kManyStrides}) {
    for (const auto kind : {Fault::Kind::die, Fault::Kind::die_in_write}) {
      for (const std::string& arrived : {std::string{}, kNew}) {
        std::size_t redone = 0;
        for (std::size_t at = 0;; ++at) {
          MaildropFixture drop;
          if (!die_at(drop, b, {.kind = kind, .at = at})) break;
          const bool committed = std::filesystem::exists(drop.state_path("journal"));
          MaildropFixture::append_file(drop.spool_path(), arrived);
          const auto outcome = recover(drop);
          BOOST_REQUIRE((outcome == Recovery::nothing || outcome == Recovery::redone || outcome == Recovery::finished));
          redone += outcome == Recovery::redone ? 1U : 0U;
          const bool is_new = drop.spool() == b.kept() + arrived;
          BOOST_REQUIRE(is_new || drop.spool() == b.all() + arrived);
          if (committed) BOOST_REQUIRE(is_new);
        }
        BOOST_TEST(redone > 2U);
      }
    }
  }
}

/// The client is told that nothing was removed: then nothing may be removed by a recovery later.
BOOST_AUTO_TEST_CASE(a_commit_that_failed_leaves_nothing_to_recover) {
  for (const auto& b : {kOneStride, kManyStrides}) {  // with room: a journal without mail, and one with it
    std::size_t failed = 0;
    for (std::size_t at = 0;; ++at) {
      MaildropFixture drop;
      drop.write_spool(b.all());
      Process opener{drop};
      const auto opened = opener.open();
      BOOST_REQUIRE(opened.has_value());
      Process process{drop, {.kind = Fault::Kind::fail_once, .at = at, .only = "sync_directory"}};
      process.be_later();
      const auto updated = process.update(request_for(*opened, b.deleted));
      if (process.fs.count("sync_directory") <= at) break;
      if (updated || drop.spool() != b.all()) continue;
      ++failed;
      BOOST_TEST(!std::filesystem::exists(drop.state_path("journal")));
      BOOST_TEST((recover(drop) == Recovery::nothing));
      BOOST_TEST((drop.spool() == b.all()));
    }
    BOOST_TEST(failed >= 1U);
  }
}

BOOST_AUTO_TEST_CASE(a_full_disk_deletes_with_strides_and_without_new_files) {
  MaildropFixture drop;
  drop.write_spool(kManyStrides.all());
  Process opener{drop};
  const auto opened = opener.open();
  BOOST_REQUIRE(opened.has_value());
  FullDiskProcess process{drop};
  int committed = 0;
  auto request = request_for(*opened, kManyStrides.deleted);
  request.committed = [&](std::uint64_t) { ++committed; };
  const auto updated = process.update(request);
  BOOST_REQUIRE_MESSAGE(updated.has_value(), (updated ? "" : updated.error().message()));
  BOOST_TEST(committed == 1);
  BOOST_TEST(drop.spool() == kManyStrides.kept());
  BOOST_TEST(process.fs.count("rename journal") == 1U);
  BOOST_TEST(process.fs.count("rename reserve") == 1U);
  BOOST_TEST(process.fs.count("sync_data") > 6U);
}

BOOST_AUTO_TEST_CASE(a_full_disk_without_a_reserve_or_with_too_many_strides_refuses) {
  for (const bool comb : {false, true}) {
    MaildropFixture drop;
    std::string spool = mbox_message(0, 0);
    for (unsigned i = 1; i < 4000; ++i) spool += mbox_message(i, 0);
    drop.write_spool(spool);
    Process opener{drop};
    const auto opened = opener.open();
    FullDiskProcess process{drop};
    if (!comb) std::filesystem::remove(drop.state_path("reserve"));
    std::vector<unsigned> deleted{0};
    for (unsigned i = 1; comb && i < 4000; i += 2) deleted.push_back(i);
    const auto updated = process.update(request_for(*opened, deleted));
    BOOST_REQUIRE(!updated.has_value());
    BOOST_TEST((updated.error().kind() == ErrorKind::no_space));
    BOOST_TEST(drop.spool() == spool);
    BOOST_TEST(!std::filesystem::exists(drop.state_path("journal")));
  }
}

/// The first update's death at which its journal stands and at least one octet of the spool was moved.
void die_half_moved(const MaildropFixture& drop, const Box& b) {
  for (std::size_t at = 0;; ++at) {
    BOOST_REQUIRE(die_at(drop, b, {.kind = Fault::Kind::die, .at = at}));
    if (std::filesystem::exists(drop.state_path("journal")) && drop.spool() != b.all()) return;
    if (std::filesystem::exists(drop.state_path("journal"))) recover(drop);
  }
}

/// An octet of the last message is another one.
std::string flagged(std::string spool) {
  spool[spool.size() - 10] = '!';
  return spool;
}

BOOST_AUTO_TEST_CASE(a_rewritten_spool_is_left_as_it_is) {
  for (const auto& b : {kOneStride, kManyStrides}) {
    for (const std::string& rewritten : {kNew, std::string{}, b.all().substr(b.messages[0].size()), b.kept() + "x\n",
                                         kNew + b.all(), flagged(b.kept()) + kNew}) {
      MaildropFixture drop;
      die_half_moved(drop, b);
      MaildropFixture::write_file(drop.spool_path(), rewritten);
      BOOST_TEST((recover(drop) == Recovery::set_aside));
      BOOST_TEST(drop.spool() == rewritten);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_source_that_is_not_the_same_any_more_stops_a_redo) {
  for (const auto& b : {kOneStride, kManyStrides}) {
    MaildropFixture drop;
    die_half_moved(drop, b);
    auto changed = drop.spool();
    changed[changed.size() - 10] = '!';
    MaildropFixture::write_file(drop.spool_path(), changed);
    BOOST_TEST((recover(drop) == Recovery::set_aside));
    BOOST_TEST(drop.spool() == changed);
  }
}

/// At each death just behind the record of a stride: work(octets of the record, its place in the journal).
template <class Work>
std::size_t at_each_record(const MaildropFixture& drop, const Box& b, const Work& work) {
  std::size_t records = 0;
  std::string before;
  for (std::size_t at = 0; die_at(drop, b, {.kind = Fault::Kind::die, .at = at}); ++at) {
    const auto journal = MaildropFixture::read_file(drop.state_path("journal"));
    for (const auto offset : kSlotOffset) {
      if (journal.empty() || before.empty()) continue;
      const auto number = offsetof(StrideSlot, stride);  // hashes differ from run to run
      if (journal.compare(offset + number, sizeof(std::uint64_t), before, offset + number, sizeof(std::uint64_t)) == 0)
        continue;
      ++records;
      work(journal.substr(offset, sizeof(StrideSlot)), offset);
    }
    before = journal;
    recover(drop);
  }
  return records;
}

void put_slot(const MaildropFixture& drop, const std::string& slot, std::uint64_t offset) {
  auto journal = MaildropFixture::read_file(drop.state_path("journal"));
  journal.replace(offset, slot.size(), slot);
  MaildropFixture::write_file(drop.state_path("journal"), journal);
}

/// Power that goes while a record is written leaves a part of it: the stride before it counts, and this one is made
/// again.
BOOST_AUTO_TEST_CASE(a_torn_record_of_a_stride_is_not_believed) {
  const MaildropFixture drop;
  const auto records = at_each_record(drop, kManyStrides, [&](const std::string& record, std::uint64_t offset) {
    put_slot(drop, record.substr(0, 32) + std::string(32, ' '), offset);
    BOOST_TEST((recover(drop) == Recovery::redone));
    BOOST_TEST(drop.spool() == kManyStrides.kept());
  });
  BOOST_TEST(records >= 2U);
}

BOOST_AUTO_TEST_CASE(a_change_in_what_was_moved_already_stops_a_redo) {
  const MaildropFixture drop;
  const auto records = at_each_record(drop, kManyStrides, [&](const std::string&, std::uint64_t) {
    auto changed = drop.spool();
    changed[kManyStrides.messages[0].size() + kPostmark.size() + 20] = '!';
    MaildropFixture::write_file(drop.spool_path(), changed);
    BOOST_TEST((recover(drop) == Recovery::set_aside));
    BOOST_TEST(drop.spool() == changed);
  });
  BOOST_TEST(records >= 2U);
}

BOOST_AUTO_TEST_CASE(every_damage_of_the_journal_is_noticed) {
  MaildropFixture drop;
  die_half_moved(drop, kManyStrides);
  const auto journal = MaildropFixture::read_file(drop.state_path("journal"));
  const auto spool = drop.spool();
  const std::size_t used = kSourcesOffset + 3 * sizeof(Range);
  for (std::size_t at = 0; at < used; ++at) {
    if (at >= 8 && at < 12) continue;  // a later version stops everything
    if (at >= sizeof(StrideHeader) && at < kSourcesOffset) continue;
    auto damaged = journal;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x04);
    MaildropFixture::write_file(drop.state_path("journal"), damaged);
    BOOST_REQUIRE_MESSAGE((recover(drop) == Recovery::set_aside), "octet " << at);
    BOOST_REQUIRE(drop.spool() == spool);
  }
  MaildropFixture::write_file(drop.state_path("journal"), journal.substr(0, kReserveSize - 1));
  BOOST_TEST((recover(drop) == Recovery::set_aside));
  MaildropFixture::write_file(drop.state_path("journal"), journal);
  BOOST_TEST((recover(drop) == Recovery::redone));
  BOOST_TEST(drop.spool() == kManyStrides.kept());
}

/// Mail that is appended without locks while strides are made, more of it each time, so that all kinds of journals
/// follow each other.
BOOST_AUTO_TEST_CASE(mail_that_comes_meanwhile_is_carried_along) {
  for (const bool full : {false, true}) {
    for (const std::size_t size : {std::size_t{50}, std::size_t{300}, std::size_t{9000}}) {
      for (int times = 1; times < 4; ++times) {
        struct Intruder {
          const MaildropFixture* drop;
          std::size_t size;
          int left;
          std::string came;
        };
        MaildropFixture drop;
        Intruder intruder{.drop = &drop, .size = size, .left = times, .came = {}};
        const auto append = [](FaultFileSystem& fs, std::string_view call) {
          auto& self = *static_cast<Intruder*>(fs.intruder_data);
          if (call != "sync_data" || self.left == 0) return;
          const auto text = mbox_message(static_cast<unsigned>(50 + self.left--), self.size);
          self.came += text;
          MaildropFixture::append_file(self.drop->spool_path(), text);
        };
        drop.write_spool(kManyStrides.all());
        Process opener{drop};
        auto opened = opener.open();
        const auto run = [&](auto process) {
          process.fs.intruder_data = &intruder;
          process.fs.intruder = append;
          const auto updated = process.update(request_for(*opened, kManyStrides.deleted));
          BOOST_REQUIRE_MESSAGE(updated.has_value(), (updated ? "" : updated.error().message()));
        };
        full ? run(FullDiskProcess{drop}) : run(Process{drop});
        BOOST_TEST(drop.spool() == kManyStrides.kept() + intruder.came);
        BOOST_TEST(!std::filesystem::exists(drop.state_path("journal")));
        opened->session_lock.reset();
        Process later{drop};
        BOOST_TEST(later.open()->count == 8U + static_cast<unsigned>(times));
      }
    }
  }
}

/// The other half of the reserve holds the last, and so younger looking, journal of an update long done.
BOOST_AUTO_TEST_CASE(what_an_earlier_update_left_is_not_followed) {
  MaildropFixture drop;
  drop.write_spool(kManyStrides.all());
  {
    Process opener{drop};
    const auto opened = opener.open();
    BOOST_REQUIRE(opened.has_value());
    FullDiskProcess earlier{drop};
    bool came = false;
    earlier.fs.intruder = [&](FaultFileSystem&, std::string_view call) {
      if (call != "sync_data" || std::exchange(came, true)) return;
      MaildropFixture::append_file(drop.spool_path(), kNew);
    };
    BOOST_REQUIRE(earlier.update(request_for(*opened, kManyStrides.deleted)).has_value());
    BOOST_REQUIRE(came);
  }
  std::size_t committed = 0;
  for (std::size_t at = 0; die_at(drop, kOneStride, {.kind = Fault::Kind::die, .at = at}); ++at) {
    const bool journal = std::filesystem::exists(drop.state_path("journal"));
    committed += journal ? 1U : 0U;
    recover(drop);
    // Without a journal it was not committed yet, or is done.
    const bool is_new = drop.spool() == kOneStride.kept();
    BOOST_TEST((is_new || (!journal && drop.spool() == kOneStride.all())), "death at call " << at);
  }
  BOOST_TEST(committed >= 3U);
}

}  // namespace
