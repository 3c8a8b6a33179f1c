// SPDX-License-Identifier: MIT
// Mail that Qpopper left in a temporary drop, bulletins and expiry: every call fails, and the process dies at every call. No message is
// lost, none is there twice, and the mail of the drop comes first.
#include <boost/test/unit_test.hpp>

#include "tests/fault/takeover_cases.h"
#include "tests/fault/verdict.h"

namespace {

using namespace qpop;
using namespace qpop::test;
using spool::SystemFileSystem;

constexpr const char* kDrop = ".ada.pop";

spool::MaildropSettings settings_of(const MaildropFixture& drop) {
  spool::MaildropSettings settings;
  settings.temporary_drops = {{drop.spool_folder(), kDrop}};
  return settings;
}

std::string why(const base::Result<spool::OpenedMaildrop>& opened) { return opened ? "opened" : opened.error().message(); }

std::string drop_path(const MaildropFixture& drop) { return std::filesystem::path{drop.spool_path()}.parent_path() / kDrop; }

void lay_out(const MaildropFixture& drop, const TakeOver& t) {
  drop.clear();
  ::unlink(drop_path(drop).c_str());
  if (t.spool != "-") drop.write_spool(t.spool);
  MaildropFixture::write_file(drop_path(drop), t.drop);
}

/// A session some time later, without faults.
std::string judge_later(const MaildropFixture& drop, const std::string& want) {
  Process later{drop};
  later.be_later();
  auto opened = later.open(settings_of(drop));
  if (!opened) return "the next session cannot open the maildrop: " + opened.error().message();
  if (drop.spool() != want) return "the spool holds\n" + drop.spool() + "want\n" + want;
  if (!MaildropFixture::read_file(drop_path(drop)).empty()) return "the temporary drop still holds mail";
  const auto strange = strange_name(drop);
  return strange.empty() ? "" : strange + " is left";
}

BOOST_AUTO_TEST_CASE(mail_of_a_temporary_drop_comes_first) {
  const MaildropFixture drop;
  for (const auto& t : take_overs()) {
    lay_out(drop, t);
    Process process{drop};
    auto opened = process.open(settings_of(drop));
    BOOST_REQUIRE_MESSAGE(opened.has_value(), t.name << ": " << why(opened));
    BOOST_TEST(opened->warnings.size() == 1U, t.name);
    BOOST_TEST(drop.spool() == t.want, t.name);
    BOOST_TEST(!std::filesystem::exists(drop_path(drop)), t.name);
    const auto contents = contents_of(*opened);
    opened->session_lock.reset();
    Process again{drop};
    opened = again.open(settings_of(drop));
    BOOST_REQUIRE(opened.has_value());
    BOOST_TEST((contents_of(*opened) == contents), t.name);
    BOOST_TEST(opened->warnings.empty(), t.name);
  }
}

/// With faults the order may be that of the spool first; never may a message be lost or be there twice.
std::string judge_messages(const MaildropFixture& drop, const std::vector<std::string>& want) {
  Process later{drop};
  later.be_later();
  auto opened = later.open(settings_of(drop));
  if (!opened) return "the next session cannot open the maildrop: " + opened.error().message();
  auto got = contents_of(*opened);
  opened->session_lock.reset();
  std::ranges::sort(got);
  if (got != want) return "the messages are not the same: " + std::to_string(got.size()) + ", want " + std::to_string(want.size()) + "\n" + drop.spool();
  if (!MaildropFixture::read_file(drop_path(drop)).empty()) return "the temporary drop still holds mail";
  const auto strange = strange_name(drop);
  return strange.empty() ? "" : strange + " is left";
}

BOOST_AUTO_TEST_CASE(no_fault_loses_or_doubles_mail) {
  struct Way {
    const char* name;
    Fault::Kind kind;
    int errno_value;
  };
  const MaildropFixture drop;
  std::size_t runs = 0;
  std::size_t died = 0;
  for (const auto& t : take_overs()) {
    const bool large = t.want.size() > 100'000;
    const auto want = messages_in(t.want);
    lay_out(drop, t);
    Process undisturbed{drop};
    const auto all = undisturbed.open(settings_of(drop))->count;
    for (const auto& way : {Way{"EIO once", Fault::Kind::fail_once, EIO}, Way{"EIO from", Fault::Kind::fail_from, EIO},
                            Way{"ENOSPC once", Fault::Kind::fail_once, ENOSPC}, Way{"ENOSPC from", Fault::Kind::fail_from, ENOSPC},
                            Way{"dies", Fault::Kind::die, 0}, Way{"dies in write", Fault::Kind::die_in_write, 0}}) {
      for (std::size_t at = 0;; at += large || QPOP_SANITIZED ? 5 : 1) {
        lay_out(drop, t);
        std::size_t calls = 0;
        std::size_t writes = 0;
        std::string log;
        {
          Process process{drop, {.kind = way.kind, .at = at, .errno_value = way.errno_value}};
          const auto opened = process.open(settings_of(drop));
          calls = process.fs.calls();
          writes = process.fs.writes();
          died += process.fs.dead() ? 1U : 0U;
          if (at < calls) log = process.fs.log()[at];
          // What is shown must be all of it.
          if (opened && !process.fs.dead()) BOOST_REQUIRE_MESSAGE(opened->count == all, t.name << ", " << way.name << " at " << at << " (" << log << ")");
        }
        ++runs;
        const auto wrong = judge_messages(drop, want);
        BOOST_REQUIRE_MESSAGE(wrong.empty(), t.name << ", " << way.name << " at " << at << " (" << log << "): " << wrong);
        if (at >= (way.kind == Fault::Kind::die_in_write ? writes : calls)) break;
      }
    }
  }
  BOOST_TEST_MESSAGE(runs << " runs, " << died << " deaths");
  BOOST_TEST(died > 100U);
}

/// Without faults behind the crash the order is right, but for a crash between the append and the change of places.
BOOST_AUTO_TEST_CASE(after_a_death_the_order_is_right_or_that_of_the_spool) {
  const MaildropFixture drop;
  const auto t = take_overs()[2];
  const auto other_order = t.spool + t.drop;
  std::size_t in_order = 0;
  for (std::size_t at = 0;; ++at) {
    lay_out(drop, t);
    std::size_t calls = 0;
    {
      Process process{drop, {.kind = Fault::Kind::die, .at = at}};
      static_cast<void>(process.open(settings_of(drop)));
      calls = process.fs.calls();
    }
    const auto wrong = judge_later(drop, t.want);
    if (wrong.empty()) ++in_order;
    if (!wrong.empty()) BOOST_REQUIRE_MESSAGE(drop.spool() == other_order, at << ": " << wrong);
    if (at >= calls) break;
  }
  BOOST_TEST(in_order > 20U);
}

BOOST_AUTO_TEST_CASE(what_is_no_temporary_drop_of_ours_keeps_the_maildrop_shut) {
  const MaildropFixture drop;
  const auto refused = [&](base::ErrorKind kind, std::string_view text) {
    Process process{drop};
    const auto opened = process.open(settings_of(drop));
    BOOST_REQUIRE(!opened.has_value());
    BOOST_TEST((opened.error().kind() == kind), opened.error().message());
    BOOST_TEST(opened.error().message().find(text) != std::string::npos, opened.error().message());
  };
  lay_out(drop, {"", mbox_message(1), "", ""});
  ::unlink(drop_path(drop).c_str());
  std::filesystem::create_symlink("ada", drop_path(drop));
  {
    // Whoever may make files there must not be able to keep others from their mail.
    Process process{drop};
    const auto opened = process.open(settings_of(drop));
    BOOST_REQUIRE(opened.has_value());
    BOOST_TEST(opened->count == 1U);
    BOOST_REQUIRE(opened->warnings.size() == 1U);
    BOOST_TEST(opened->warnings[0].find("is no temporary drop") != std::string::npos);
  }
  ::unlink(drop_path(drop).c_str());
  std::filesystem::create_hard_link(drop.spool_path(), drop_path(drop));
  refused(base::ErrorKind::unsafe, "2 links");
  ::unlink(drop_path(drop).c_str());
  MaildropFixture::write_file(drop_path(drop), "this is no mailbox\n");
  refused(base::ErrorKind::malformed, "neither a From_ line");
  BOOST_TEST(MaildropFixture::read_file(drop_path(drop)) == "this is no mailbox\n");
  MaildropFixture::write_file(drop_path(drop), mmdf_message(2));
  refused(base::ErrorKind::malformed, "one is mbox, the other MMDF");
  MaildropFixture::write_file(drop_path(drop), mbox_message(2));
  const base::UniqueFd qpopper{::open(drop_path(drop).c_str(), O_RDWR | O_CLOEXEC)};
  BOOST_REQUIRE(SystemFileSystem{}.try_flock(qpopper.get()).value());
  refused(base::ErrorKind::busy, "a Qpopper holds the temporary drop");
  BOOST_TEST(drop.spool() == mbox_message(1));
}

BOOST_AUTO_TEST_CASE(bulletins_are_appended_once_whatever_fails) {
  const MaildropFixture drop;
  const auto mail = mbox_message(1);
  const auto bulletin = mbox_message(7) + mbox_message(8, 700);
  spool::MaildropSettings settings;
  settings.bulletins = bulletin;
  for (const auto kind : {Fault::Kind::fail_once, Fault::Kind::fail_from, Fault::Kind::die, Fault::Kind::die_in_write}) {
    for (std::size_t at = 0;; at += QPOP_SANITIZED ? 5 : 1) {
      drop.clear();
      drop.write_spool(mail);
      std::size_t calls = 0;
      {
        Process process{drop, {.kind = kind, .at = at}};
        const auto opened = process.open(settings);
        calls = process.fs.calls();
        if (opened && !process.fs.dead()) BOOST_REQUIRE(drop.spool() == (opened->bulletins_delivered ? mail + bulletin : mail));
      }
      Process later{drop};
      later.be_later();
      const auto opened = later.open(settings);
      BOOST_REQUIRE(opened.has_value());
      BOOST_REQUIRE(opened->bulletins_delivered);
      BOOST_REQUIRE_MESSAGE(drop.spool() == mail + bulletin, static_cast<int>(kind) << " at " << at << "\n" << drop.spool());
      if (at >= calls) break;
    }
  }
}

std::string dated(unsigned number, const std::string& year) {
  auto text = mbox_message(number);
  return text.replace(text.find("1973"), 4, year);
}

BOOST_AUTO_TEST_CASE(expiry_removes_the_old_and_nothing_else_whatever_fails) {
  const MaildropFixture drop;
  const auto before = dated(1, "2199") + dated(2, "1999") + dated(3, "2199") + dated(4, "2001");
  const auto after = dated(1, "2199") + dated(3, "2199");
  spool::MaildropSettings settings;
  settings.expire_days = 10;
  for (const auto kind : {Fault::Kind::none, Fault::Kind::fail_once, Fault::Kind::fail_from, Fault::Kind::die, Fault::Kind::die_in_write}) {
    for (std::size_t at = 0;; at += QPOP_SANITIZED ? 5 : 1) {
      drop.clear();
      drop.write_spool(before);
      std::size_t calls = 0;
      {
        Process process{drop, {.kind = kind, .at = at}};
        const auto opened = process.open(settings);
        calls = process.fs.calls();
        if (kind == Fault::Kind::none) {
          BOOST_REQUIRE(opened.has_value());
          BOOST_TEST(opened->expired == 2U);
          BOOST_TEST(opened->count == 2U);
        }
        if (opened && opened->count == 2U && !process.fs.dead()) BOOST_REQUIRE(drop.spool() == after);
      }
      Process later{drop};
      later.be_later();
      const auto opened = later.open(settings);
      BOOST_REQUIRE(opened.has_value());
      BOOST_REQUIRE_MESSAGE(drop.spool() == after || drop.spool() == before, static_cast<int>(kind) << " at " << at);
      if (at >= calls || kind == Fault::Kind::none) break;
    }
  }
  // Once a day.
  drop.clear();
  drop.write_spool(before);
  Process process{drop};
  BOOST_REQUIRE(process.open(settings).has_value());
  drop.append_spool(dated(5, "1999"));
  BOOST_REQUIRE(process.open(settings).has_value());
  BOOST_TEST(drop.spool() == after + dated(5, "1999"));
  process.clock.advance_ms(86'400'000);
  BOOST_REQUIRE(process.open(settings).has_value());
  BOOST_TEST(drop.spool() == after);
}

BOOST_AUTO_TEST_CASE(login_delay_counts_sessions_that_began) {
  const MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  spool::MaildropSettings settings;
  settings.login_delay_s = 60;
  Process process{drop};
  BOOST_REQUIRE(process.open(settings).has_value());
  const auto early = process.open(settings);
  BOOST_REQUIRE(!early.has_value());
  BOOST_TEST(early.error().detail().starts_with(spool::kTooEarly));
  // A refused one does not begin the time anew.
  process.clock.advance_ms(61'000);
  BOOST_TEST(process.open(settings).has_value());
}

}  // namespace
