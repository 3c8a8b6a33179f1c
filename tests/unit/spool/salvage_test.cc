// SPDX-License-Identifier: MIT
// Salvage that dies at any call and is begun again leaves every message once and none torn.
#include <boost/test/unit_test.hpp>

#include "common/spool/recovery.h"
#include "tests/fault/maildrop_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using namespace qpop::test;

const std::vector<std::string> kMessages{mbox_message(1), mbox_message(2, 1300), mbox_message(3, 700),
                                         mbox_message(4, 2000), mbox_message(5, 90)};
const std::string kNew = mbox_message(9, 300);

/// A journal that holds messages 2 to 5, and a spool that another program has rewritten since.
void leave_foreign_spool(const MaildropFixture& drop, const std::string& rewritten) {
  std::string all;
  for (const auto& message : kMessages) all += message;
  drop.write_spool(all);
  Process opener{drop};
  const auto opened = opener.open();
  BOOST_REQUIRE(opened.has_value());
  for (std::size_t at = 0; !std::filesystem::exists(drop.state_path("journal")); ++at) {
    Process dying{drop, {.kind = Fault::Kind::die, .at = at}};
    dying.be_later();
    static_cast<void>(dying.update(request_for(*opened, {0})));
  }
  MaildropFixture::write_file(drop.spool_path(), rewritten);
}

void recover(const MaildropFixture& drop) {
  Process later{drop};
  later.be_later();
  const auto recovered = later.recover();
  BOOST_REQUIRE(recovered.has_value());
  BOOST_REQUIRE(!std::filesystem::exists(drop.state_path("journal")));
  BOOST_REQUIRE(!std::filesystem::exists(drop.state_path("salvage")));
}

BOOST_AUTO_TEST_CASE(death_at_every_call_and_in_every_write) {
  const std::string unfinished = kNew.substr(0, kNew.size() - 30);
  for (const auto& [rewritten, want] :
       {std::pair{kNew + kMessages[2], kNew + kMessages[2] + kMessages[1] + kMessages[3] + kMessages[4]},
        std::pair{unfinished, unfinished + "\n\n" + kMessages[1] + kMessages[2] + kMessages[3] + kMessages[4]},
        std::pair{std::string{}, kMessages[1] + kMessages[2] + kMessages[3] + kMessages[4]}}) {
    for (const auto kind : {Fault::Kind::die, Fault::Kind::die_in_write}) {
      std::size_t torn = 0;
      for (std::size_t at = 0;; ++at) {
        MaildropFixture drop;
        leave_foreign_spool(drop, rewritten);
        bool died = false;
        {
          Process dying{drop, {.kind = kind, .at = at}};
          dying.be_later();
          static_cast<void>(dying.recover());
          died = dying.fs.dead();
        }
        torn += drop.spool() != rewritten && drop.spool() != want ? 1U : 0U;
        recover(drop);
        BOOST_REQUIRE_MESSAGE(drop.spool() == want, "call " << at);
        if (!died) break;
      }
      if (kind == Fault::Kind::die_in_write) BOOST_TEST(torn > 0U);
    }
  }
}

BOOST_AUTO_TEST_CASE(without_room_nothing_torn_is_left) {
  const std::string rewritten = kNew + kMessages[2];
  std::size_t failed = 0;
  for (std::size_t at = 0;; ++at) {
    MaildropFixture drop;
    leave_foreign_spool(drop, rewritten);
    Process process{drop, {.kind = Fault::Kind::fail_from, .at = at, .errno_value = ENOSPC, .only = "write"}};
    process.be_later();
    const bool recovered = process.recover().has_value();
    if (!recovered) {
      ++failed;
      BOOST_REQUIRE_MESSAGE(drop.spool() == rewritten, "write " << at);
      recover(drop);
    }
    BOOST_REQUIRE(drop.spool() == rewritten + kMessages[1] + kMessages[3] + kMessages[4]);
    if (recovered) break;
  }
  BOOST_TEST(failed > 3U);
}

/// What a power loss leaves of a salvage: any prefix, with zeros where sectors did not reach the disk.
BOOST_AUTO_TEST_CASE(zeros_in_what_was_appended_are_written_again) {
  const std::string rewritten = kNew + kMessages[2];
  MaildropFixture drop;
  leave_foreign_spool(drop, rewritten);
  // The write that appends is one of the first.
  for (std::size_t write = 0; write < 10 && drop.spool() == rewritten; ++write) {
    Process dying{drop, {.kind = Fault::Kind::die_in_write, .at = write}};
    dying.be_later();
    static_cast<void>(dying.recover());
  }
  auto spool = drop.spool();
  BOOST_REQUIRE(spool.size() > rewritten.size() + 100);
  for (std::size_t at = rewritten.size() + 20; at < rewritten.size() + 60; ++at) spool[at] = '\0';
  MaildropFixture::write_file(drop.spool_path(), spool);
  recover(drop);
  BOOST_TEST(drop.spool() == rewritten + kMessages[1] + kMessages[3] + kMessages[4]);
}

BOOST_AUTO_TEST_CASE(mail_delivered_after_the_crash_is_not_overwritten) {
  const std::string rewritten = kNew + kMessages[2];
  for (std::size_t at = 0;; ++at) {
    MaildropFixture drop;
    leave_foreign_spool(drop, rewritten);
    bool died = false;
    {
      Process dying{drop, {.kind = Fault::Kind::die, .at = at}};
      dying.be_later();
      static_cast<void>(dying.recover());
      died = dying.fs.dead();
    }
    const auto before = drop.spool();
    const auto delivered = mbox_message(77, 500);
    MaildropFixture::append_file(drop.spool_path(), delivered);
    recover(drop);
    const auto got = drop.spool();
    BOOST_REQUIRE(got.starts_with(before + delivered));
    for (const std::size_t i : {1U, 2U, 3U, 4U}) {
      const auto first = got.find(kMessages[i]);
      BOOST_REQUIRE(first != std::string::npos);
      BOOST_REQUIRE(got.find(kMessages[i], first + 1) == std::string::npos);
    }
    if (!died) break;
  }
}

}  // namespace
