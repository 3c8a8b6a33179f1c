// SPDX-License-Identifier: MIT
// A rewrite of a spool (what a repair does) with every call failing or being the last one, and with the power lost between
// any two of its steps: the spool is the old one or the new one, with the mail behind it that came meanwhile.
#include <boost/test/unit_test.hpp>

#include <sys/mman.h>

#include "common/spool/rewrite.h"
#include "tests/fault/disk_model.h"
#include "tests/fault/recording_file_system.h"
#include "tests/fault/runs.h"

namespace {

using namespace qpop;
using namespace qpop::test;
using RecordingProcess = BasicProcess<RecordingFileSystem>;

struct Rewriting {
  std::string name;
  std::string before;
  std::string after;
  std::vector<spool::Change> changes;
  bool mmdf = false;
  std::uint64_t first = 0;  ///< where the journal is to begin
  bool from_file = false;   ///< what comes in place of what goes is in a file, as an undo has it
};

Rewriting make(std::string name, std::string before, std::vector<spool::Change> changes, bool mmdf = false) {
  Rewriting out{.name = std::move(name), .before = std::move(before), .after = {}, .changes = std::move(changes), .mmdf = mmdf};
  std::size_t at = 0;
  for (const auto& change : out.changes) {
    out.after += out.before.substr(at, change.offset - at) + change.inserted;
    at = change.offset + change.removed;
  }
  out.after += out.before.substr(at);
  return out;
}

const std::vector<Rewriting>& rewritings() {
  static const std::vector<Rewriting> all = [] {
    const auto three = mbox_message(1, 900) + mbox_message(2, 700) + mbox_message(3, 1500);
    const auto lacking = three.substr(kPostmark.size());
    const auto second = mbox_message(1, 900).size();
    std::vector<Rewriting> out;
    out.push_back(make("a line in front", lacking, {{0, 0, kPostmark}}));
    out.push_back(make("a line in the middle and an end", three.substr(0, three.size() - 2), {{second, 0, "\n"}, {three.size() - 2, 0, "\n\n"}}));
    out.push_back(make("an end alone", three.substr(0, three.size() - 2), {{three.size() - 2, 0, "\n\n"}}));
    out.push_back(make("as long as before", three, {{second, 4, "FROM"}}));
    out.push_back(make("several sectors longer", three, {{second, 0, mbox_message(9, 2000)}}));
    out.push_back(make("a message less", three, {{second, mbox_message(2, 700).size(), ""}}));
    out.push_back(make("an octet less", three, {{second + 100, 1, ""}}));
    out.push_back(make("zeros at the end less", three + std::string(2000, '\0'), {{three.size(), 2000, ""}}));
    const auto two = mmdf_message(1, 600) + mmdf_message(2, 800);
    for (std::size_t i = 0; i < 5; ++i) {
      auto undo = out[i];
      undo.name += ", from a file";
      undo.from_file = true;
      out.push_back(std::move(undo));
    }
    for (const std::size_t i : {1U, 4U, 5U, 6U}) {
      auto late = out[i];
      late.name += ", from the second message on";
      late.first = second;
      late.from_file = i == 4U;
      out.push_back(std::move(late));
    }
    out.push_back(make("a separator", two.substr(kSeparator.size()), {{0, 0, kSeparator}}, true));
    return out;
  }();
  return all;
}

template <class P>
base::Result<std::uint64_t> rewrite(P& process, const MaildropFixture& drop, const Rewriting& r) {
  spool::Warnings warnings;
  auto lock = spool::MailLock::acquire(process.context(), drop.paths(), {}, 1000, warnings);
  if (!lock) return lock.error();
  spool::RewritePlan plan{.old_size = r.before.size(), .format = r.mmdf ? listing::SpoolFormat::mmdf : listing::SpoolFormat::mbox};
  plan.first = r.first;
  plan.changes = r.changes;
  const base::UniqueFd file{r.from_file ? ::memfd_create("quarantine", MFD_CLOEXEC) : -1};
  std::uint64_t end = 0;
  for (auto& change : plan.changes) {
    if (!r.from_file || change.inserted.empty()) continue;
    // What stands before is not meant.
    const auto text = "not this" + change.inserted;
    if (::pwrite(file.get(), text.data(), text.size(), static_cast<off_t>(end)) != static_cast<ssize_t>(text.size())) throw std::runtime_error("pwrite");
    change.octets = {.fd = file.get(), .offset = end + 8, .length = change.inserted.size()};
    end += text.size();
    change.inserted.clear();
  }
  return spool::rewrite_spool(process.context(), drop.paths(), *lock, plan, warnings);
}

std::string mail_for(const Rewriting& r) { return r.mmdf ? mmdf_message(77, 300) : mbox_message(77, 300); }

/// Recovers as the next process does. Empty: the spool is one of the two, and nothing is left.
std::string judge(const MaildropFixture& drop, const Rewriting& r, const std::string& mail, bool must_be_new) {
  Process later{drop};
  later.be_later();
  const auto recovered = later.recover();
  if (!recovered) return "recovery: " + recovered.error().message();
  const auto spool = drop.spool();
  // Behind an end that was not one, an agent's mail is glued; a rewrite in between may or may not have mended it.
  const bool is_new = spool == r.after + mail;
  const bool is_old = spool == r.before + mail;
  if (must_be_new && !is_new) return "the new spool was promised, it has " + std::to_string(spool.size()) + " octets of " + std::to_string(r.after.size() + mail.size());
  if (!is_new && !is_old) return "neither old nor new: " + std::to_string(spool.size()) + " octets, old " + std::to_string(r.before.size()) + ", new " + std::to_string(r.after.size()) + ", mail " + std::to_string(mail.size());
  for (const auto* name : {"journal", "journal.tmp"}) {
    if (::access(drop.state_path(name).c_str(), F_OK) == 0) return std::string{name} + " is left";
  }
  return {};
}

void run_all(Fault::Kind kind, int errno_value, bool deliver, std::size_t thin = 1) {
  const MaildropFixture drop;
  Faults faults;
  std::size_t runs = 0;
  for (const auto& r : rewritings()) {
    // Where the end is open, an agent would glue; that is what a repair is for, not a test of the journal.
    const bool open_end = !r.mmdf && !r.before.ends_with("\n\n");
    if (deliver && open_end) continue;
    for (std::size_t at = 0; at < 400; at += thin) {
      drop.clear();
      drop.write_spool(r.before);
      Process process{drop, {.kind = kind, .at = at, .errno_value = errno_value}};
      const auto done = rewrite(process, drop, r);
      const bool touched = at < (kind == Fault::Kind::die_in_write ? process.fs.writes() : process.fs.calls());
      std::string mail;
      if (deliver) {
        mail = mail_for(r);
        MaildropFixture::append_file(drop.spool_path(), mail);
      }
      faults.add(r.name + ", call " + std::to_string(at) + (done ? "" : ", " + done.error().message()), judge(drop, r, mail, done.has_value()));
      ++runs;
      if (!touched) break;
    }
  }
  BOOST_TEST_MESSAGE(runs << " runs");
  BOOST_REQUIRE_MESSAGE(faults.count() == 0, faults.text());
  BOOST_TEST(runs > 50U);
}

BOOST_AUTO_TEST_CASE(a_rewrite_makes_the_new_spool_in_the_same_inode) {
  for (const auto& r : rewritings()) {
    const MaildropFixture drop;
    drop.write_spool(r.before);
    struct stat before {};
    struct stat after {};
    BOOST_REQUIRE(::stat(drop.spool_path().c_str(), &before) == 0);
    Process process{drop};
    const auto size = rewrite(process, drop, r);
    BOOST_REQUIRE_MESSAGE(size, r.name);
    BOOST_TEST(*size == r.after.size());
    BOOST_TEST((drop.spool() == r.after), r.name);
    BOOST_REQUIRE(::stat(drop.spool_path().c_str(), &after) == 0);
    BOOST_TEST(before.st_ino == after.st_ino);
    BOOST_TEST(before.st_mode == after.st_mode);
  }
}

BOOST_AUTO_TEST_CASE(a_spool_that_grew_since_is_not_touched) {
  const auto& r = rewritings().front();
  const MaildropFixture drop;
  drop.write_spool(r.before + mail_for(r));
  Process process{drop};
  const auto done = rewrite(process, drop, r);
  BOOST_REQUIRE(!done);
  BOOST_TEST((done.error().kind() == base::ErrorKind::changed));
  BOOST_TEST((drop.spool() == r.before + mail_for(r)));
}

BOOST_AUTO_TEST_CASE(any_call_fails) { run_all(Fault::Kind::fail_once, EIO, false); }
BOOST_AUTO_TEST_CASE(any_call_fails_and_all_behind_it) { run_all(Fault::Kind::fail_from, EIO, false); }
BOOST_AUTO_TEST_CASE(the_disk_is_full_from_any_call_on) { run_all(Fault::Kind::fail_from, ENOSPC, true); }
BOOST_AUTO_TEST_CASE(the_process_dies_at_any_call) { run_all(Fault::Kind::die, EIO, false); }
BOOST_AUTO_TEST_CASE(the_process_dies_at_any_call_and_mail_comes) { run_all(Fault::Kind::die, EIO, true); }
BOOST_AUTO_TEST_CASE(the_process_dies_in_any_write) { run_all(Fault::Kind::die_in_write, EIO, true); }

BOOST_AUTO_TEST_CASE(a_full_disk_leaves_no_journal_in_the_way) {
  const auto& r = rewritings()[4];
  const MaildropFixture drop;
  // Room for the journal, none for the spool.
  bool named = false;
  for (std::size_t at = 0; at < 100 && !named; ++at) {
    drop.clear();
    drop.write_spool(r.before);
    Process full{drop, {.kind = Fault::Kind::fail_from, .at = at, .errno_value = ENOSPC, .only = "write"}};
    const auto done = rewrite(full, drop, r);
    if (done) break;
    BOOST_TEST((done.error().kind() == base::ErrorKind::no_space));
    BOOST_TEST((drop.spool() == r.before));
    BOOST_TEST(::access(drop.state_path("journal").c_str(), F_OK) != 0);
    named = full.fs.count("rename journal") > 0;
  }
  BOOST_TEST(named);
}

/// Where the journal begins a message starts, so its octets are a mailbox.
BOOST_AUTO_TEST_CASE(a_foreign_rewrite_before_recovery_loses_no_message_of_the_journal) {
  const auto two = mbox_message(2, 700);
  const auto before = mbox_message(1, 900) + two.substr(0, two.size() - 1) + mbox_message(3, 1500);
  const auto second = mbox_message(1, 900).size();
  auto r = make("a glued message", before, {{second + two.size() - 1, 0, "\n"}});
  r.first = second;
  const auto foreign = mbox_message(8);
  std::size_t salvaged = 0;
  for (std::size_t at = 0; at < 100; ++at) {
    const MaildropFixture drop;
    drop.write_spool(r.before);
    Process process{drop, {.kind = Fault::Kind::die, .at = at}};
    const auto done = rewrite(process, drop, r);
    if (done) break;
    const bool stands = ::access(drop.state_path("journal").c_str(), F_OK) == 0;
    // Another mail reader rewrote the spool without a look at our journal.
    ::unlink(drop.lock_path().c_str());
    drop.write_spool(foreign);
    Process later{drop};
    later.be_later();
    const auto recovered = later.recover();
    BOOST_REQUIRE_MESSAGE(recovered, "call " << at << ": " << (recovered ? "" : recovered.error().message()));
    BOOST_TEST((drop.spool() == (stands ? foreign + two + mbox_message(3, 1500) : foreign)), "call " << at);
    salvaged += stands ? 1U : 0U;
  }
  BOOST_TEST(salvaged > 0U);
}

BOOST_AUTO_TEST_CASE(power_is_lost_at_any_point) {
  std::mt19937 random{7};
  const MaildropFixture drop;
  Faults faults;
  std::size_t states = 0;
  for (int story = 0; story < (QPOP_SANITIZED ? 20 : 250); ++story) {
    const auto& r = rewritings()[static_cast<std::size_t>(story) % rewritings().size()];
    drop.clear();
    drop.write_spool(r.before);
    const Fault fault = story % 3 == 0 ? Fault{.kind = Fault::Kind::die, .at = random() % 70} : Fault{};
    RecordingProcess process{drop, fault};
    process.fs.start(drop);
    const auto done = rewrite(process, drop, r);
    if (!done && random() % 2 == 0) {
      // Another process recovers before the power goes.
      process.fs.revive();
      process.be_later();
      static_cast<void>(process.recover());
    }
    const bool open_end = !r.mmdf && !r.before.ends_with("\n\n");
    for (int i = 0; i < 12 && !faults.enough(); ++i) {
      const auto steps = process.fs.steps();
      const auto at = i == 0 ? steps : random() % (steps + 1);
      restore(drop, process.fs.story().after_power_loss(at, random));
      std::string mail;
      if (!open_end && random() % 2 == 0) {
        mail = mail_for(r);
        MaildropFixture::append_file(drop.spool_path(), mail);
      }
      ++states;
      faults.add(r.name + ", story " + std::to_string(story) + ", behind step " + std::to_string(at) + " of " + std::to_string(steps) + process.fs.story().text(),
                 judge(drop, r, mail, done.has_value() && at == steps));
    }
  }
  BOOST_TEST_MESSAGE(states << " states");
  BOOST_REQUIRE_MESSAGE(faults.count() == 0, faults.text());
}

}  // namespace
