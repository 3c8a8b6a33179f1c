// SPDX-License-Identifier: MIT
// Verdicts over a real database file: right and wrong secrets, equal work, replaced, missing and damaged files.
#include "popper/authenticator/verifier.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <filesystem>
#include <vector>

#include "common/authdb/key_file.h"
#include "tests/unit/db/temporary_folder.h"

namespace {

using namespace qpop::authenticator;
using namespace qpop::authdb;
using qpop::base::ErrorKind;
using qpop::base::Result;
using qpop::base::Secret;
using qpop::digest::md5_hex;
using qpop::test::TemporaryFolder;
using qpop::test::why;

constexpr std::string_view kStamp = "<1896.697170952@dbc.mtview.ca.us>";

struct Fixture {
  TemporaryFolder folder;
  std::string path = folder / "pop.auth";
  Verifier verifier{path, ::geteuid()};

  Fixture() {
    fresh();
    load_key();
  }
  void fresh() {
    const auto ok =
        initialise({.path = path, .owner = ::geteuid(), .group = ::getegid(), .iterations = kMinIterations});
    BOOST_REQUIRE_MESSAGE(ok, why(ok));
    add("ada", "tanstaaf", true, false);
    add("bob", "noapop", false, false);
    add("dan", "disabled", true, true);
  }
  void load_key() {
    auto fd = open_key_file(key_path_of(path));
    BOOST_REQUIRE_MESSAGE(fd, why(fd));
    BOOST_REQUIRE(verifier.load_key(fd->get()));
  }
  /// In a child: LMDB must not be open twice in one process.
  void add(const std::string& name, const std::string& password, bool apop, bool disabled) const {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(add_here(name, password, apop, disabled) ? 0 : 1);
    int status = 0;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    BOOST_REQUIRE(status == 0);
  }
  bool add_here(const std::string& name, const std::string& password, bool apop, bool disabled) const {
    auto database = Database::open(path, ::geteuid(), Access::read_write);
    if (!database) return false;
    Account account;
    account.scram = make_scram(Secret{password}, kMinIterations);
    account.disabled = disabled;
    if (apop) account.sealed_apop = *seal_apop(database->meta(), name, Secret{password});
    return database->update(name, [&](const auto&) -> Result<Account> { return account; }).has_value();
  }
};

struct PasswordCase {
  const char* user;
  const char* password;
  Outcome outcome;
  Reason reason;
};
constexpr PasswordCase kPasswords[] = {
    {"ada", "tanstaaf", Outcome::accepted, Reason::none},
    {"ada", "tanstaaF", Outcome::refused, Reason::wrong_password},
    {"ada", "", Outcome::refused, Reason::wrong_password},
    {"Ada", "tanstaaf", Outcome::refused, Reason::unknown_user},
    {"bob", "noapop", Outcome::accepted, Reason::none},
    {"dan", "disabled", Outcome::refused, Reason::disabled},
    {"dan", "wrong", Outcome::refused, Reason::disabled},
    {"eve", "tanstaaf", Outcome::refused, Reason::unknown_user},
    {"", "tanstaaf", Outcome::refused, Reason::unacceptable_name},
    {".meta", "tanstaaf", Outcome::refused, Reason::unacceptable_name},
    {"../ada", "tanstaaf", Outcome::refused, Reason::unacceptable_name},
};

BOOST_FIXTURE_TEST_CASE(passwords, Fixture) {
  for (const auto& c : kPasswords) {
    const auto got = verifier.check_password(c.user, Secret{c.password}, Circumstances{});
    BOOST_TEST((got.outcome == c.outcome), c.user << " " << c.password << ": " << words(got.reason));
    BOOST_TEST((got.reason == c.reason), c.user << " " << c.password << ": " << words(got.reason));
  }
}

struct ApopCase {
  const char* user;
  std::string digest;
  Outcome outcome;
  Reason reason;
};

BOOST_FIXTURE_TEST_CASE(apop, Fixture) {
  const auto right = md5_hex(kStamp, "tanstaaf");
  auto upper = right;
  std::ranges::transform(upper, upper.begin(), [](char c) { return static_cast<char>(c >= 'a' ? c - 32 : c); });
  const ApopCase cases[] = {
      {"ada", right, Outcome::accepted, Reason::none},
      {"ada", upper, Outcome::refused, Reason::wrong_password},
      {"ada", right.substr(1), Outcome::refused, Reason::wrong_password},
      {"ada", "", Outcome::refused, Reason::wrong_password},
      {"ada", md5_hex(kStamp, "wrong"), Outcome::refused, Reason::wrong_password},
      {"bob", md5_hex(kStamp, "noapop"), Outcome::refused, Reason::no_apop_secret},
      {"bob", md5_hex(kStamp, "not a secret"), Outcome::refused, Reason::no_apop_secret},
      {"dan", md5_hex(kStamp, "disabled"), Outcome::refused, Reason::disabled},
      {"eve", md5_hex(kStamp, "not a secret"), Outcome::refused, Reason::unknown_user},
      {".dummy", md5_hex(kStamp, "not a secret"), Outcome::refused, Reason::unacceptable_name},
  };
  for (const auto& c : cases) {
    const auto got = verifier.check_apop(c.user, kStamp, c.digest);
    BOOST_TEST((got.outcome == c.outcome), c.user << ": " << words(got.reason) << " " << got.detail);
    BOOST_TEST((got.reason == c.reason), c.user << ": " << words(got.reason));
  }
}

BOOST_FIXTURE_TEST_CASE(apop_without_key_is_temporary_and_tells_nothing_about_the_user, Fixture) {
  Verifier keyless{path, ::geteuid()};
  for (const auto* user : {"ada", "bob", "dan", "eve"}) {
    const auto got = keyless.check_apop(user, kStamp, md5_hex(kStamp, "tanstaaf"));
    BOOST_TEST((got.outcome == Outcome::temporary_failure), user);
    BOOST_TEST((got.reason == Reason::no_key), user);
  }
  BOOST_TEST((keyless.check_password("ada", Secret{"tanstaaf"}, Circumstances{}).outcome == Outcome::accepted));
}

BOOST_FIXTURE_TEST_CASE(who_has_apop, Fixture) {
  BOOST_TEST(*verifier.has_apop("ada"));
  BOOST_TEST(!*verifier.has_apop("bob"));
  BOOST_TEST(*verifier.has_apop("dan"));
  BOOST_TEST(!*verifier.has_apop("eve"));
  BOOST_TEST(*verifier.has_any_account());
}

BOOST_FIXTURE_TEST_CASE(account_added_while_open_is_seen, Fixture) {
  BOOST_TEST((verifier.check_password("eve", Secret{"new"}, Circumstances{}).reason == Reason::unknown_user));
  add("eve", "new", true, false);
  BOOST_TEST((verifier.check_password("eve", Secret{"new"}, Circumstances{}).outcome == Outcome::accepted));
  BOOST_TEST((verifier.check_apop("eve", kStamp, md5_hex(kStamp, "new")).outcome == Outcome::accepted));
}

BOOST_FIXTURE_TEST_CASE(replaced_database_is_opened_anew, Fixture) {
  BOOST_TEST((verifier.check_password("ada", Secret{"tanstaaf"}, Circumstances{}).outcome == Outcome::accepted));
  BOOST_REQUIRE(initialise({.path = path, .owner = ::geteuid(), .group = ::getegid(), .iterations = kMinIterations}));
  BOOST_TEST((verifier.check_password("ada", Secret{"tanstaaf"}, Circumstances{}).reason == Reason::unknown_user));
  BOOST_TEST(!*verifier.has_any_account());
  add("ada", "second", true, false);
  BOOST_TEST((verifier.check_password("ada", Secret{"second"}, Circumstances{}).outcome == Outcome::accepted));
  // The key of the old database opens nothing of the new one.
  BOOST_TEST((verifier.check_apop("ada", kStamp, md5_hex(kStamp, "second")).reason == Reason::no_key));
  load_key();
  BOOST_TEST((verifier.check_apop("ada", kStamp, md5_hex(kStamp, "second")).outcome == Outcome::accepted));
}

BOOST_FIXTURE_TEST_CASE(missing_database_is_a_value_and_comes_back, Fixture) {
  BOOST_TEST((verifier.check_password("ada", Secret{"tanstaaf"}, Circumstances{}).outcome == Outcome::accepted));
  std::filesystem::rename(path, path + ".away");
  const auto got = verifier.check_password("ada", Secret{"tanstaaf"}, Circumstances{});
  BOOST_TEST((got.outcome == Outcome::temporary_failure));
  BOOST_TEST((got.reason == Reason::no_database));
  BOOST_TEST(got.detail.find("popauth -init") != std::string::npos);
  BOOST_TEST((verifier.has_any_account().error().kind() == ErrorKind::not_found));
  BOOST_TEST((verifier.has_apop("ada").error().kind() == ErrorKind::not_found));
  std::filesystem::rename(path + ".away", path);
  BOOST_TEST((verifier.check_password("ada", Secret{"tanstaaf"}, Circumstances{}).outcome == Outcome::accepted));
}

BOOST_FIXTURE_TEST_CASE(wrong_mode_and_damage_are_values, Fixture) {
  BOOST_REQUIRE(::chmod(path.c_str(), 0644) == 0);
  const auto got = verifier.check_apop("ada", kStamp, md5_hex(kStamp, "tanstaaf"));
  BOOST_TEST((got.outcome == Outcome::temporary_failure));
  BOOST_TEST((got.reason == Reason::database));
  BOOST_TEST(got.detail.find("has wrong mode (0644); chmod 600 it") != std::string::npos);
  BOOST_REQUIRE(::chmod(path.c_str(), 0600) == 0);
  BOOST_TEST((verifier.check_password("ada", Secret{"tanstaaf"}, Circumstances{}).outcome == Outcome::accepted));
  BOOST_REQUIRE(::truncate(path.c_str(), 4096) == 0);
  BOOST_TEST((verifier.check_password("ada", Secret{"tanstaaf"}, Circumstances{}).reason == Reason::database));
}

BOOST_FIXTURE_TEST_CASE(unknown_disabled_and_wrong_cost_the_same, Fixture) {
  const auto median_us = [&](const char* user) {
    std::vector<std::int64_t> times;
    for (int i = 0; i < 41; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      (void)verifier.check_password(user, Secret{"wrong"}, Circumstances{});
      times.push_back(
          std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin).count());
    }
    std::ranges::nth_element(times, times.begin() + 20);
    return times[20];
  };
  (void)verifier.check_password("ada", Secret{"wrong"}, Circumstances{});
  const auto known = median_us("ada");
  for (const auto* user : {"eve", "dan", "../x"}) {
    const auto other = median_us(user);
    // Generous, because tests share the machine: without the dummy it is a factor of 50.
    BOOST_TEST((other * 2 > known && other < known * 2), user << " " << other << " us, known " << known << " us");
  }
}

BOOST_FIXTURE_TEST_CASE(handle_is_not_used_in_a_forked_child, Fixture) {
  BOOST_TEST((verifier.check_password("ada", Secret{"tanstaaf"}, Circumstances{}).outcome == Outcome::accepted));
  const pid_t child = ::fork();
  if (child == 0) {
    // The first call notices and drops the handle, the next one opens its own.
    const auto first = verifier.check_password("ada", Secret{"tanstaaf"}, Circumstances{});
    const auto second = verifier.check_password("ada", Secret{"tanstaaf"}, Circumstances{});
    ::_exit(first.outcome == Outcome::temporary_failure && second.outcome == Outcome::accepted ? 0 : 1);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
  BOOST_TEST((verifier.check_password("ada", Secret{"tanstaaf"}, Circumstances{}).outcome == Outcome::accepted));
}

}  // namespace
