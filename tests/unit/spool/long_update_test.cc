// SPDX-License-Identifier: MIT
// A long update: what is deleted is written down, the client has its answer, and then the spool is rewritten.
#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "common/spool/deferred.h"
#include "tests/fault/deferred_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using namespace qpop::test;

const std::vector<std::string> kUnits{mbox_message(1), mbox_message(2, 700), mbox_message(3), mbox_message(4, 1300), mbox_message(5)};

bool file_stands(const MaildropFixture& drop) { return std::filesystem::exists(drop.state_path("expunged")); }

/// Calls of a long update until its client has the answer. It dies at call `died`.
std::size_t delete_long(const MaildropFixture& drop, const std::vector<unsigned>& deleted, std::size_t died = 100'000) {
  drop.clear();
  drop.write_spool(joined(kUnits));
  Process opener{drop};
  const auto opened = opener.open();
  Process process{drop, {.kind = Fault::Kind::die, .at = died}};
  auto request = request_for(*opened, deleted);
  request.long_update = 0;
  std::size_t told = 0;
  request.committed = [&](std::uint64_t) { told = process.fs.calls(); };
  static_cast<void>(process.update(request));
  return told;
}

/// An update that dies behind its answer.
void die_behind_the_answer(const MaildropFixture& drop, const std::vector<unsigned>& deleted) {
  const auto told = delete_long(drop, deleted);
  BOOST_REQUIRE(delete_long(drop, deleted, told) == told);
  ::unlink(drop.lock_path().c_str());
}

BOOST_AUTO_TEST_CASE(a_long_update_answers_before_it_touches_the_spool) {
  for (const auto& deleted : std::vector<std::vector<unsigned>>{{0}, {1, 3}, {4}, {0, 1, 2, 3, 4}}) {
    const MaildropFixture drop;
    die_behind_the_answer(drop, deleted);
    BOOST_TEST(drop.spool() == joined(kUnits));
    std::vector<std::string> left;
    for (unsigned i = 0; i < kUnits.size(); ++i) {
      if (std::ranges::count(deleted, i) == 0) left.push_back(kUnits[i]);
    }
    BOOST_TEST((visible(drop, with({.compacts = false})) == contents(left)));
    BOOST_TEST((visible(drop, {}) == contents(left)));
    BOOST_TEST(drop.spool() == joined(left));
    BOOST_TEST(!file_stands(drop));
  }
}

BOOST_AUTO_TEST_CASE(recovery_removes_what_a_long_update_wrote_down) {
  const MaildropFixture drop;
  die_behind_the_answer(drop, {0, 2});
  {
    // Not under a session.
    Process other{drop};
    const auto opened = other.open(with({.compacts = false}));
    Process process{drop};
    const auto recovered = process.recover();
    BOOST_REQUIRE(recovered.has_value());
    BOOST_TEST((recovered->outcome == Recovery::nothing));
    BOOST_TEST(drop.spool() == joined(kUnits));
  }
  Process process{drop};
  const auto recovered = process.recover();
  BOOST_REQUIRE(recovered.has_value());
  BOOST_TEST((recovered->outcome == Recovery::redone));
  BOOST_TEST(drop.spool() == kUnits[1] + kUnits[3] + kUnits[4]);
  BOOST_TEST(!file_stands(drop));
}

BOOST_AUTO_TEST_CASE(an_update_is_long_by_its_octets_or_by_its_messages) {
  const MaildropFixture drop;
  drop.write_spool(joined(kUnits));
  Process opener{drop};
  const auto opened = opener.open();
  const auto behind = kUnits[2].size() + kUnits[3].size() + kUnits[4].size();
  auto request = request_for(*opened, {2, 3});
  request.long_update = behind + 5 * kWorkOfMessage;
  const auto is_long = [&] { return is_long_update(request); };
  BOOST_TEST(is_long());
  ++request.long_update;
  BOOST_TEST(!is_long());
  request.deleted.assign(5, false);
  request.long_update = 0;
  BOOST_TEST(!is_long());
}

/// A session deletes the last message, which lacks its end, while others are hidden: a cut under a journal. Wherever it dies, mail comes
/// before anybody recovers it, and sticks to that end.
BOOST_AUTO_TEST_CASE(a_cut_of_an_open_end_is_completed_though_mail_came) {
  const MaildropFixture drop;
  const auto open_ended = kUnits[3].substr(0, kUnits[3].size() - 2);
  bool died = true;
  for (std::size_t at = 0; died; ++at) {
    drop.clear();
    drop.write_spool(kUnits[0] + kUnits[1] + kUnits[2]);
    delete_in_session(drop, {2}, with({.deferred = true, .share_percent = 1000, .after_s = 1000}));
    drop.append_spool(open_ended);
    Process opener{drop};
    auto opened = opener.open(with({.compacts = false}));
    Process process{drop, {.kind = Fault::Kind::die, .at = at}};
    auto request = request_for(*opened, {3});
    bool told = false;
    request.committed = [&](std::uint64_t) { told = true; };
    static_cast<void>(process.update(request));
    died = process.fs.dead();
    opened->session_lock.reset();
    drop.append_spool(kUnits[4]);
    {
      Process boot{drop};
      boot.be_later();
      static_cast<void>(boot.recover(with({.deferred = true})));
    }
    Process later{drop};
    later.be_later();
    BOOST_REQUIRE(later.open().has_value());
    const bool gone = drop.spool() == kUnits[0] + kUnits[1] + kUnits[4];
    const bool there = drop.spool() == kUnits[0] + kUnits[1] + open_ended + kUnits[4];
    BOOST_TEST((gone || (there && !told)), "died at call " << at << (told ? ", told" : "") << ": " << drop.spool().size() << " octets");
    BOOST_TEST(!file_stands(drop));
  }
}

}  // namespace
