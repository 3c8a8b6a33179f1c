// SPDX-License-Identifier: MIT
// What an update costs: calls that change or sync something, and octets written. And what it must leave as it was: the
// spool's inode, owner, mode, ACL and extended attributes; on whatever file systems spool and state lie.
#include <sys/xattr.h>

#include <boost/test/unit_test.hpp>
#include <map>

#include "tests/fault/runs.h"

namespace {

using namespace qpop;
using namespace qpop::test;

/// Kept octets behind the first deleted one.
std::uint64_t moved_octets(const Scenario& s) {
  if (s.deleted.empty()) return 0;
  std::uint64_t first = 0;
  for (std::size_t i = 0; i < s.deleted.front(); ++i) first += s.units[i].size();
  return s.after.size() - first;
}

std::size_t syncs(const FaultFileSystem& fs) {
  return fs.count("sync") + fs.count("sync_data") + fs.count("sync_directory");
}

BOOST_AUTO_TEST_CASE(an_update_costs_at_most_eight_syncs_and_twice_what_moves) {
  const MaildropFixture drop;
  std::size_t most_syncs = 0;
  double most_written = 0;
  for (const auto& s : scenarios()) {
    drop.clear();
    Session session{drop, s};
    Process process{drop};
    BOOST_REQUIRE(process.update(session.request()).has_value());
    const auto& fs = process.fs;
    if (s.deleted.empty()) {
      // Looking at the session lock is all that is done.
      for (const auto& call : fs.log()) {
        const bool looks = call == "status" || call == "status_at session" || call == "flock";
        BOOST_TEST(looks, s.name << ": " << call);
      }
      continue;
    }
    const std::uint64_t moved = moved_octets(s);
    const std::uint64_t index = 128 + 96 * (s.units.size() - s.deleted.size());
    const std::size_t written_down = s.written_first ? 96 + 40 * s.deleted.size() : 0;
    const double limit = 2.02 * static_cast<double>(moved) + 2048 + static_cast<double>(index + written_down);
    BOOST_TEST(syncs(fs) <= (s.written_first ? 8U : moved == 0 ? 2U : 6U), s.name << ": " << syncs(fs) << " syncs");
    BOOST_TEST(static_cast<double>(fs.octets_written()) <= limit,
               s.name << ": " << fs.octets_written() << " octets written, " << moved << " moved");
    most_syncs = std::max(most_syncs, syncs(fs));
    if (moved > 100'000)
      most_written = std::max(most_written, static_cast<double>(fs.octets_written()) / static_cast<double>(moved));
  }
  BOOST_TEST_MESSAGE("at most " << most_syncs << " syncs, and " << most_written << " times what moved");
}

/// What belongs to the file and not to its octets.
struct Attributes {
  struct stat status {};
  std::map<std::string, std::string> extended{};
};

Attributes attributes_of(const std::string& path) {
  Attributes out;
  if (::stat(path.c_str(), &out.status) != 0) throw std::runtime_error("stat");
  for (const char* name : {"user.note", "system.posix_acl_access"}) {
    std::string value(256, '\0');
    const auto size = ::getxattr(path.c_str(), name, value.data(), value.size());
    if (size >= 0) out.extended[name] = value.substr(0, static_cast<std::size_t>(size));
  }
  return out;
}

/// u::rw- u:64000:r-- g::r-- m::r-- o::---
std::string some_acl() {
  std::string acl{"\x02\0\0\0", 4};
  const auto entry = [&](std::uint16_t tag, std::uint16_t permissions, std::uint32_t id) {
    acl.append(reinterpret_cast<const char*>(&tag), 2);
    acl.append(reinterpret_cast<const char*>(&permissions), 2);
    acl.append(reinterpret_cast<const char*>(&id), 4);
  };
  constexpr std::uint32_t kNobody = 0xffffffff;
  entry(0x01, 6, kNobody);
  entry(0x02, 4, 64000);
  entry(0x04, 4, kNobody);
  entry(0x10, 4, kNobody);
  entry(0x20, 0, kNobody);
  return acl;
}

BOOST_AUTO_TEST_CASE(inode_mode_acl_and_extended_attributes_survive) {
  const MaildropFixture drop;
  std::size_t with_acl = 0;
  std::size_t with_note = 0;
  for (const auto& s : scenarios()) {
    drop.clear();
    Session session{drop, s};
    const auto path = drop.spool_path();
    BOOST_REQUIRE(::chmod(path.c_str(), 0640) == 0);
    const auto acl = some_acl();
    with_acl += ::setxattr(path.c_str(), "system.posix_acl_access", acl.data(), acl.size(), 0) == 0 ? 1U : 0U;
    with_note += ::setxattr(path.c_str(), "user.note", "mine", 4, 0) == 0 ? 1U : 0U;
    const auto before = attributes_of(path);
    Process process{drop};
    BOOST_REQUIRE(process.update(session.request()).has_value());
    session.end();
    const auto after = attributes_of(path);
    BOOST_TEST(after.status.st_ino == before.status.st_ino, s.name);
    BOOST_TEST(after.status.st_mode == before.status.st_mode, s.name);
    BOOST_TEST(after.status.st_uid == before.status.st_uid, s.name);
    BOOST_TEST(after.status.st_gid == before.status.st_gid, s.name);
    BOOST_TEST((after.extended == before.extended), s.name << ": extended attributes differ");
    BOOST_TEST(drop.spool() == s.after, s.name);
  }
  BOOST_TEST_MESSAGE(with_acl << " with an ACL, " << with_note << " with an extended attribute, of "
                              << scenarios().size() << "; where there are fewer this file system has none");
}

/// Spool in memory and state on a disk, and the other way; a death now and then.
BOOST_AUTO_TEST_CASE(spool_and_state_may_lie_on_different_file_systems) {
  const TemporaryFolder memory{"/dev/shm"};
  const TemporaryFolder disk{"/tmp"};
  struct stat one {};
  struct stat other {};
  BOOST_REQUIRE(::stat(memory.path().c_str(), &one) == 0 && ::stat(disk.path().c_str(), &other) == 0);
  if (one.st_dev == other.st_dev) {
    BOOST_TEST_MESSAGE("SKIPPED: /dev/shm and /tmp are one file system");
    return;
  }
  Faults faults;
  for (const bool state_on_disk : {true, false}) {
    const MaildropFixture drop{state_on_disk ? memory.path() : disk.path(),
                               state_on_disk ? disk.path() : memory.path()};
    for (std::size_t which = 0; which < scenarios().size(); ++which) {
      const auto& s = scenarios()[which];
      if (s.large && QPOP_SANITIZED) continue;
      for (const std::size_t death : {std::size_t{1000}, 30 + which % 20}) {
        const auto run = run_update(drop, s, {.kind = Fault::Kind::die, .at = death});
        const auto what =
            describe(s, state_on_disk ? "spool in memory, died at" : "state in memory, died at", death, run);
        faults.add(what, run.wrong);
        faults.add(what, judge_next_session(drop, {.scenario = s, .delivered = {}, .may_be_old = !run.done}));
      }
    }
  }
  BOOST_REQUIRE_MESSAGE(faults.count() == 0, faults.text());
}

}  // namespace
