// SPDX-License-Identifier: MIT
// Which spool a word on the command line means.
#include "popcheck/target.h"

#include <boost/test/unit_test.hpp>

#include "tests/fault/maildrop_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::test;
using config::Opt;

struct Place {
  Place() {
    const auto spools = std::filesystem::path{drop.spool_path()}.parent_path();
    (void)settings.set(config::option(Opt::spool_dir), spools.string(), "test");
    (void)settings.set(config::option(Opt::state_dir), drop.state_path(""), "test");
  }
  popcheck::Target find(const std::string& word) {
    command.targets = {word};
    auto found = popcheck::find_targets(command, settings);
    BOOST_REQUIRE(found);
    BOOST_REQUIRE(found->size() == 1U);
    return std::move(found->front());
  }
  MaildropFixture drop;
  popcheck::Command command;
  config::Settings settings;
};

BOOST_AUTO_TEST_CASE(a_user_of_the_database_has_his_spool_and_no_other_file) {
  Place place;
  // All of them belong to one account; it must not be the caller, for what is root's is refused anyway.
  (void)place.settings.set(config::option(Opt::mail_user), "nobody", "test");
  for (const auto* name : {"ada", ".ada.pop", "ada.lock", "ada.cache"})
    MaildropFixture::write_file(std::filesystem::path{place.drop.spool_path()}.parent_path() / name, mbox_message(1));
  const auto ada = place.find("ada");
  BOOST_TEST(ada.fault.empty(), ada.fault);
  BOOST_TEST(ada.path() == place.drop.spool_path());
  for (const auto* word : {".ada.pop", "ada.lock", "ada.cache", "..", ".", ""}) {
    const auto refused = place.find(word);
    BOOST_TEST(refused.fault == "not a name that a spool can have", "'" << word << "': '" << refused.fault << "'");
  }
}

BOOST_AUTO_TEST_CASE(a_file_of_the_root_folder_has_one_slash) {
  Place place;
  const auto found = place.find("/no-such-spool-here");
  BOOST_TEST(found.path() == "/no-such-spool-here");
  BOOST_TEST(found.label.find("//") == std::string::npos, found.label);
  BOOST_TEST(found.fault.find("//") == std::string::npos, found.fault);
}

BOOST_AUTO_TEST_CASE(a_ledger_leads_to_a_spool_of_a_home_too) {
  Place place;
  const popcheck::Command command;
  const auto top = std::filesystem::path{place.drop.state_path("x")}.parent_path().string();
  MaildropFixture::write_file(top + "/.mail", mbox_message(1));
  const auto fault_of = [&](const std::string& path) { return popcheck::find_spool_of_ledger(command, place.settings, path).fault; };
  BOOST_TEST(fault_of(top + "/.mail") != "not the name of a spool");
  for (const auto& path : {top + "/..", top + "/.", top + "/", place.drop.spool_path() + ".lock", std::filesystem::path{place.drop.spool_path()}.parent_path().string() + "/.ada.pop"})
    BOOST_TEST(fault_of(path) == "not the name of a spool", path);
}

}  // namespace
