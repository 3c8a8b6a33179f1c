// SPDX-License-Identifier: MIT
// What stands around a spool is judged as popper judges it.
#include "popcheck/surroundings.h"

#include <boost/test/unit_test.hpp>

#include "tests/fault/maildrop_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::test;

BOOST_AUTO_TEST_CASE(a_lock_file_is_told_when_it_would_be_broken) {
  const std::string here = "first-boot 4026531836";
  for (const std::string& content : std::initializer_list<std::string>{
           "", "999\n", "999@testhost\n", "999@elsewhere\n", "99999999999999\n", "999\npopper testhost " + here + "\n", "999\npopper testhost boot-before 4026531836\n",
           "999\npopper elsewhere " + here + "\n", std::to_string(::getppid()) + "\n"}) {
    for (const bool old : {false, true}) {
      for (const bool exists : {false, true}) {
        const MaildropFixture drop;
        drop.write_spool(mbox_message(1));
        MaildropFixture::write_file(drop.lock_path(), content);
        Process process{drop};
        process.fs.set_processes_exist(exists);
        if (old) process.clock.advance_ms(files::kStaleAgeMs + 1000);
        popcheck::Target target;
        target.folder = std::filesystem::path{drop.spool_path()}.parent_path();
        target.name = "ada";
        target.uid = ::getuid();
        target.gid = ::getgid();
        const auto found = popcheck::look_around(process.fs, target, drop.spool_folder(), -1, process.clock.realtime_ns());
        const bool told = std::ranges::any_of(found, [](const check::Finding& one) { return one.id == check::Id::stale_lock; });
        const auto broken = process.context().dotlock.try_lock(true);
        BOOST_REQUIRE(broken);
        BOOST_TEST(told == *broken, "'" << content << "', " << (old ? "old" : "young") << ", processes " << (exists ? "exist" : "are gone"));
      }
    }
  }
}

}  // namespace
