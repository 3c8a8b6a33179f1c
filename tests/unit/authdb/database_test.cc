// SPDX-License-Identifier: MIT
// The database file: creation, rules for its files, accounts, key file.
#include "common/authdb/database.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>

#include "common/authdb/file_rules.h"
#include "common/authdb/key_file.h"
#include "common/authdb/password.h"
#include "common/authdb/record.h"
#include "tests/unit/db/temporary_folder.h"

namespace {

using namespace qpop::authdb;
using qpop::base::Error;
using qpop::base::ErrorKind;
using qpop::base::Result;
using qpop::base::Secret;
using qpop::test::TemporaryFolder;
using qpop::test::why;

struct Fixture {
  TemporaryFolder folder;
  std::string path = folder / "pop.auth";
  Fixture() {
    const auto ok =
        initialise({.path = path, .owner = ::geteuid(), .group = ::getegid(), .iterations = kMinIterations});
    BOOST_REQUIRE_MESSAGE(ok, why(ok));
  }
  Result<Database> open(Access access = Access::read_write) const { return Database::open(path, ::geteuid(), access); }
};

mode_t mode_of(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

Database::Edit set_to(const std::string& password, std::int64_t changed) {
  return [=](const Result<std::optional<Account>>&) -> Result<Account> {
    Account account;
    account.scram = make_scram(Secret{password}, kMinIterations);
    account.changed = changed;
    return account;
  };
}

BOOST_FIXTURE_TEST_CASE(initialise_makes_three_files_and_leaves_nothing_else, Fixture) {
  BOOST_TEST(mode_of(path) == 0600U);
  BOOST_TEST(mode_of(path + "-lock") == 0600U);
  BOOST_TEST(mode_of(key_path_of(path)) == 0400U);
  const auto entries = std::filesystem::directory_iterator{std::filesystem::path{path}.parent_path()};
  BOOST_TEST(std::distance(begin(entries), end(entries)) == 3);
}

BOOST_FIXTURE_TEST_CASE(key_file_belongs_to_the_database, Fixture) {
  auto database = open();
  BOOST_REQUIRE_MESSAGE(database, why(database));
  auto fd = open_key_file(key_path_of(path));
  BOOST_REQUIRE_MESSAGE(fd, why(fd));
  for (int i = 0; i < 2; ++i) {
    auto key = read_key(fd->get());
    BOOST_REQUIRE_MESSAGE(key, why(key));
    BOOST_TEST((*qpop::digest::public_key_of(*key) == database->meta().public_key));
  }
}

BOOST_FIXTURE_TEST_CASE(key_file_rules, Fixture) {
  const auto key = key_path_of(path);
  const auto good = qpop::test::read_file(key);
  auto open_before = open_key_file(key);
  BOOST_REQUIRE_MESSAGE(open_before, why(open_before));
  BOOST_REQUIRE(::chmod(key.c_str(), 0440) == 0);
  BOOST_TEST((read_key(open_before->get()).error().kind() == ErrorKind::unsafe));
  BOOST_TEST((open_key_file(key).error().kind() == ErrorKind::unsafe));
  BOOST_REQUIRE(::unlink(key.c_str()) == 0);
  BOOST_TEST((open_key_file(key).error().kind() == ErrorKind::not_found));
  for (const auto& bytes :
       {std::string{}, good.substr(1), good.substr(0, good.size() - 1), good + "\n", std::string(64, 'x'),
        std::string(5000, 'x'), "qpopper-seal-key 1 " + std::string(44, '=') + "\n"}) {
    const auto copy = folder / "copy";
    qpop::test::write_file(copy, bytes);
    ::chmod(copy.c_str(), 0400);
    auto fd = open_key_file(copy);
    BOOST_REQUIRE_MESSAGE(fd, why(fd));
    BOOST_TEST((read_key(fd->get()).error().kind() == ErrorKind::malformed));
    BOOST_REQUIRE(::unlink(copy.c_str()) == 0);
  }
}

BOOST_FIXTURE_TEST_CASE(accounts_are_stored_changed_listed_and_removed, Fixture) {
  {
    auto database = open();
    BOOST_REQUIRE(database);
    BOOST_TEST(*database->count() == 0U);
    BOOST_TEST(!*database->find("ada"));
    BOOST_REQUIRE(database->update("bob", set_to("two", 2)));
    BOOST_REQUIRE(database->update("ada", set_to("one", 1)));
    BOOST_TEST((database->update(".meta", set_to("x", 0)).error().kind() == ErrorKind::denied));
    BOOST_TEST(!*database->find(".meta"));
    BOOST_TEST(!*database->remove(".meta"));
  }
  auto database = open(Access::read_only);
  BOOST_REQUIRE(database);
  BOOST_TEST(*database->count() == 2U);
  auto ada = database->find("ada");
  BOOST_REQUIRE((ada && *ada));
  BOOST_TEST(matches((*ada)->scram.value(), Secret{"one"}));
  std::string names;
  BOOST_REQUIRE(database->list([&](std::string_view name, const Result<Account>& account) {
    names += std::string{name} + (account ? "," : "!");
    return true;
  }));
  BOOST_TEST(names == "ada,bob,");
  database = open();
  BOOST_TEST(*database->remove("ada"));
  BOOST_TEST(!*database->remove("ada"));
  BOOST_TEST(*database->count() == 1U);
}

BOOST_FIXTURE_TEST_CASE(stand_in_is_read_where_there_is_no_account, Fixture) {
  auto database = open();
  BOOST_REQUIRE(database);
  BOOST_REQUIRE(database->update("ada", set_to("one", 1)));
  Account other;
  other.crypt = "stand-in";
  const auto record = encode_account(".other", other);
  const StandIn stand_in{".other", record};
  const auto ada = database->find_or("ada", stand_in);
  BOOST_REQUIRE(ada);
  BOOST_TEST(ada->exists);
  BOOST_TEST(ada->account.scram.has_value());
  BOOST_TEST(ada->account.crypt == "");
  for (const auto* name : {"bob", ".meta", ".other", "../ada", ""}) {
    const auto nobody = database->find_or(name, stand_in);
    BOOST_REQUIRE(nobody);
    BOOST_TEST(!nobody->exists, name);
    BOOST_TEST(nobody->account.crypt == "stand-in", name);
  }
  BOOST_TEST((database->find_or("bob", {".wrong", record}).error().kind() == ErrorKind::malformed));
}

BOOST_FIXTURE_TEST_CASE(refused_edit_changes_nothing, Fixture) {
  auto database = open();
  BOOST_REQUIRE(database);
  const auto got = database->update("ada", [](const auto&) -> Result<Account> {
    return Error{ErrorKind::changed, "no"};
  });
  BOOST_TEST((!got && got.error().kind() == ErrorKind::changed));
  BOOST_TEST(*database->count() == 0U);
}

BOOST_FIXTURE_TEST_CASE(damaged_record_is_an_error_that_an_administrator_can_replace, Fixture) {
  {
    auto environment = qpop::db::Environment::open(path);
    BOOST_REQUIRE(environment);
    BOOST_REQUIRE(environment->write([](qpop::db::Writer& writer) { return writer.put("ada", "\1rubbish"); }));
  }
  auto database = open();
  BOOST_REQUIRE(database);
  BOOST_TEST((database->find("ada").error().kind() == ErrorKind::malformed));
  std::string names;
  BOOST_REQUIRE(database->list([&](std::string_view name, const Result<Account>& account) {
    names += std::string{name} + (account ? "," : "!");
    return true;
  }));
  BOOST_TEST(names == "ada!");
  BOOST_REQUIRE(database->update("ada", set_to("one", 1)));
  BOOST_TEST(database->find("ada").has_value());
}

BOOST_FIXTURE_TEST_CASE(meta_record_missing_or_damaged, Fixture) {
  const auto spoil = [&](const std::string& value) {
    auto environment = qpop::db::Environment::open(path);
    BOOST_REQUIRE(environment);
    BOOST_REQUIRE(environment->write([&](qpop::db::Writer& writer) -> qpop::base::Status {
      if (!value.empty()) return writer.put(kMetaKey, value);
      auto removed = writer.remove(kMetaKey);
      return removed ? qpop::base::Status{} : removed.error();
    }));
  };
  spoil("\1rubbish");
  BOOST_TEST((open().error().kind() == ErrorKind::malformed));
  spoil("");
  BOOST_TEST((open().error().kind() == ErrorKind::malformed));
  BOOST_TEST(open().error().message() == "POP authentication DB " + path + ": there is no meta record; popauth did not make this file");
}

struct RuleCase {
  const char* name;
  void (*spoil)(const std::string& path);
  ErrorKind want;
  const char* words;
};

const RuleCase kRules[] = {
    {"mode", [](const std::string& p) { ::chmod(p.c_str(), 0644); }, ErrorKind::unsafe,
     "has wrong mode (0644); chmod 600 it"},
    {"stricter mode", [](const std::string& p) { ::chmod(p.c_str(), 0400); }, ErrorKind::unsafe,
     "has wrong mode (0400); chmod 600 it"},
    {"set-uid bit", [](const std::string& p) { ::chmod(p.c_str(), 04600); }, ErrorKind::unsafe,
     "has wrong mode (4600); chmod 600 it"},
    {"symbolic link",
     [](const std::string& p) {
       std::filesystem::rename(p, p + ".real");
       std::filesystem::create_symlink(p + ".real", p);
     },
     ErrorKind::unsafe, "is a symbolic link"},
    {"two names", [](const std::string& p) { std::filesystem::create_hard_link(p, p + ".two"); }, ErrorKind::unsafe,
     "has 2 names"},
    {"folder",
     [](const std::string& p) {
       std::filesystem::remove(p);
       std::filesystem::create_directory(p);
     },
     ErrorKind::unsafe, "is not a regular file"},
    {"missing", [](const std::string& p) { std::filesystem::remove(p); }, ErrorKind::not_found, "popauth -init"},
    {"empty", [](const std::string& p) { std::filesystem::resize_file(p, 0); }, ErrorKind::malformed,
     "is empty; initialise it"},
    {"truncated", [](const std::string& p) { std::filesystem::resize_file(p, 5000); }, ErrorKind::malformed,
     "the file is damaged"},
    {"text", [](const std::string& p) { qpop::test::write_file(p, std::string(10'000, 'x')); }, ErrorKind::malformed,
     "damaged"},
    {"lock file missing", [](const std::string& p) { std::filesystem::remove(p + "-lock"); }, ErrorKind::unsafe,
     "has no lock file"},
    {"lock file mode", [](const std::string& p) { ::chmod((p + "-lock").c_str(), 0666); }, ErrorKind::unsafe,
     "lock file"},
};

BOOST_AUTO_TEST_CASE(files_that_are_not_as_they_must_be) {
  for (const auto& c : kRules) {
    const Fixture fixture;
    c.spoil(fixture.path);
    const auto got = fixture.open();
    BOOST_REQUIRE_MESSAGE(!got, c.name);
    BOOST_TEST((got.error().kind() == c.want), c.name << ": " << why(got));
    BOOST_TEST(got.error().message().find(c.words) != std::string::npos, c.name << ": " << why(got));
  }
}

BOOST_FIXTURE_TEST_CASE(other_owner_is_refused, Fixture) {
  const auto got = Database::open(path, ::geteuid() + 1, Access::read_only);
  BOOST_TEST((!got && got.error().kind() == ErrorKind::unsafe));
  BOOST_TEST(got.error().message().find("belongs to uid") != std::string::npos);
}

constexpr const char* kCrypt =
    "$6$rounds=1000$saltsalt$rXjl5uYHGWEqW/rCvZtCboIF4gG9Mm2IgawiKhopbnZ3Wo8X8lHSiLnrN1Z0o3jtyNmfEJVSATxUqKvsHnqia0";

/// "ada" with a crypt(3) string of "tanstaaf".
void import_ada(Database& database) {
  const auto ok = database.update_all(
      [](const auto& update) {
        return update("ada", [](const Result<std::optional<Account>>&) -> Result<Account> {
          Account account;
          account.crypt = kCrypt;
          return account;
        });
      },
      kCrypt);
  BOOST_REQUIRE_MESSAGE(ok, why(ok));
}

BOOST_FIXTURE_TEST_CASE(clear_login_upgrades_an_imported_account_once, Fixture) {
  auto database = open();
  BOOST_REQUIRE(database);
  import_ada(*database);
  const auto seen = database->find("ada").value().value();
  BOOST_TEST(database->meta().dummy_crypt == kCrypt);
  BOOST_TEST(needs_upgrade(database->meta(), seen));
  BOOST_REQUIRE(database->upgrade("ada", seen, Secret{"tanstaaf"}));
  const auto after = database->find("ada").value().value();
  BOOST_TEST(after.crypt.empty());
  BOOST_TEST(matches_password(database->meta(), "ada", &after, Secret{"tanstaaf"}));
  BOOST_TEST(!needs_upgrade(database->meta(), after));
  // A password that was set between the look and the upgrade stays.
  const auto late = database->upgrade("ada", seen, Secret{"other"});
  BOOST_TEST((!late && late.error().kind() == ErrorKind::changed));
  BOOST_TEST((database->upgrade("eve", seen, Secret{"x"}).error().kind() == ErrorKind::changed));
  BOOST_TEST((database->find("ada").value()->scram == after.scram));
}

BOOST_FIXTURE_TEST_CASE(batch_is_stored_whole_or_not_at_all, Fixture) {
  auto database = open();
  BOOST_REQUIRE(database);
  const auto failed = database->update_all(
      [](const auto& update) -> qpop::base::Status {
        if (auto ok = update("ada", set_to("one", 1)); !ok) return ok;
        return update("a/b", set_to("two", 2));
      },
      "");
  BOOST_TEST((!failed && failed.error().kind() == ErrorKind::denied));
  BOOST_TEST(*database->count() == 0U);
}

BOOST_FIXTURE_TEST_CASE(compaction_keeps_accounts_and_forgets_the_dummy_when_nobody_needs_it, Fixture) {
  const Place place{.path = path, .owner = ::geteuid(), .group = ::getegid()};
  {
    auto database = open();
    BOOST_REQUIRE(database);
    import_ada(*database);
    BOOST_REQUIRE(database->update("bob", set_to("one", 1)));
    BOOST_TEST(*database->charge_guess(7, 100) == 0);
    BOOST_TEST(*database->count() == 2U);
  }
  BOOST_REQUIRE(compact(place));
  BOOST_TEST(open()->meta().dummy_crypt == kCrypt);
  BOOST_REQUIRE(open()->remove("ada"));
  const auto key = qpop::test::read_file(key_path_of(path));
  const auto sizes = compact(place);
  BOOST_REQUIRE_MESSAGE(sizes, why(sizes));
  BOOST_TEST(sizes->after <= sizes->before);
  auto database = open();
  BOOST_REQUIRE_MESSAGE(database, why(database));
  BOOST_TEST(database->meta().dummy_crypt.empty());
  BOOST_TEST(*database->count() == 1U);
  BOOST_TEST(matches(database->find("bob").value().value().scram.value(), Secret{"one"}));
  BOOST_TEST(qpop::test::read_file(key_path_of(path)) == key);
}

BOOST_FIXTURE_TEST_CASE(old_handle_writes_nothing_after_a_replacement, Fixture) {
  const pid_t child = ::fork();
  if (child == 0) {
    // One process may not have a file open twice: the handle lives in a child.
    auto database = open();
    if (!database) ::_exit(2);
    ::raise(SIGSTOP);
    const auto late = database->update("late", set_to("x", 1));
    ::_exit(!late && late.error().kind() == ErrorKind::changed ? 0 : 1);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, WUNTRACED) == child);
  BOOST_REQUIRE(WIFSTOPPED(status));
  BOOST_REQUIRE(compact({.path = path, .owner = ::geteuid(), .group = ::getegid()}));
  ::kill(child, SIGCONT);
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
  BOOST_TEST(*open()->count() == 0U);
}

BOOST_FIXTURE_TEST_CASE(initialise_replaces_what_is_there, Fixture) {
  BOOST_REQUIRE(open()->update("ada", set_to("one", 1)));
  qpop::test::write_file(path, "damaged");
  BOOST_REQUIRE(initialise({.path = path, .owner = ::geteuid(), .group = ::getegid(), .iterations = kMinIterations}));
  auto database = open();
  BOOST_REQUIRE_MESSAGE(database, why(database));
  BOOST_TEST(*database->count() == 0U);
}

BOOST_AUTO_TEST_CASE(initialise_needs_a_folder_that_others_cannot_change) {
  const TemporaryFolder folder;
  const auto shared = folder / "shared";
  std::filesystem::create_directory(shared);
  BOOST_REQUIRE(::chmod(shared.c_str(), 0777) == 0);
  const NewDatabase wanted{
      .path = shared + "/pop.auth", .owner = ::geteuid(), .group = ::getegid(), .iterations = kMinIterations};
  BOOST_TEST((initialise(wanted).error().kind() == ErrorKind::unsafe));
  BOOST_REQUIRE(::chmod(shared.c_str(), 01777) == 0);
  BOOST_TEST(initialise(wanted).has_value());
  BOOST_TEST(
      (initialise({.path = folder / "none/pop.auth", .owner = ::geteuid()}).error().kind() == ErrorKind::not_found));
}

}  // namespace
