// SPDX-License-Identifier: MIT
// Verdicts over a real database file: right and wrong secrets, equal work, replaced, missing and damaged files.
#include "popper/authenticator/verifier.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <vector>

#include "common/authdb/key_file.h"
#include "common/sasl/scram_server.h"
#include "tests/fault/fake_clock.h"
#include "tests/unit/db/temporary_folder.h"

namespace {

using namespace qpop::authenticator;
using namespace qpop::authdb;
using qpop::base::ErrorKind;
using qpop::base::Result;
using qpop::base::Secret;
using qpop::digest::md5_hex;
using qpop::test::FakeClock;
using qpop::test::TemporaryFolder;
using qpop::test::why;

constexpr const char* kCryptOfTanstaaf =
    "$6$saltsalt$JfDkfKepJJ8OUWRByLbPk38gXHsXisVEzfbhJNOdQONUSHJpsMS04wE7S46k63uzhSh1G0j2QJ1gqfWqZChQE.";
constexpr std::string_view kStamp = "<1896.697170952@dbc.mtview.ca.us>";

struct Fixture {
  TemporaryFolder folder;
  std::string path = folder / "pop.auth";
  FakeClock clock;
  Verifier verifier{path, ::geteuid(), clock};

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
  Verifier keyless{path, ::geteuid(), clock};
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

/// What was computed since the last call.
qpop::digest::Work work_done() { return std::exchange(qpop::digest::work(), {}); }

BOOST_FIXTURE_TEST_CASE(unknown_disabled_and_wrong_cost_the_same_work, Fixture) {
  (void)verifier.check_apop("ada", kStamp, "x");  // opens the database, makes what unknown users are checked with
  const auto work_of = [&](const auto& check, const char* user) {
    (void)work_done();
    (void)check(user);
    return work_done();
  };
  const auto by_password = [&](const char* user) { return verifier.check_password(user, Secret{"wrong"}, Circumstances{}).reason; };
  const auto by_apop = [&](const char* user) { return verifier.check_apop(user, kStamp, std::string(32, '0')).reason; };
  const auto by_cram = [&](const char* user) { return verifier.check_cram_md5(user, kStamp, std::string(32, '0')).reason; };
  const auto by_scram = [&](const char* user) {
    auto start = verifier.begin_scram(user);
    qpop::sasl::ScramServer server{std::move(start.secret), "n=x,r=y", "y"};
    BOOST_TEST(!server.finish("c=biws,r=y", "y", {}).has_value());
    return start.verdict.reason;
  };
  const auto known = std::array{work_of(by_password, "ada"), work_of(by_apop, "ada"), work_of(by_cram, "ada"), work_of(by_scram, "ada")};
  BOOST_TEST(known[0].pbkdf2_rounds == kMinIterations);
  BOOST_TEST(known[1].unsealed == 1U);
  BOOST_TEST(known[2].unsealed == 1U);
  BOOST_TEST(known[3].hmacs >= 2U);
  for (const auto* user : {"eve", "dan", "bob", "../x", ""}) {
    BOOST_TEST((work_of(by_password, user) == known[0]), user << " by password");
    BOOST_TEST((work_of(by_apop, user) == known[1]), user << " by APOP");
    BOOST_TEST((work_of(by_cram, user) == known[2]), user << " by CRAM-MD5");
    BOOST_TEST((work_of(by_scram, user) == known[3]), user << " by SCRAM");
  }
}

BOOST_FIXTURE_TEST_CASE(a_password_that_matched_costs_no_rounds_for_a_minute_while_its_record_stands, Fixture) {
  const auto rounds_of = [&](const char* password, Outcome want) {
    (void)work_done();
    BOOST_TEST((verifier.check_password("ada", Secret{password}, {}).outcome == want), password);
    return work_done().pbkdf2_rounds;
  };
  BOOST_TEST(rounds_of("tanstaaf", Outcome::accepted) == kMinIterations);
  BOOST_TEST(rounds_of("tanstaaf", Outcome::accepted) == 0U);
  BOOST_TEST(rounds_of("wrong", Outcome::refused) == kMinIterations);
  clock.advance_ms(RememberedPasswords::kKeptMs - 1);
  BOOST_TEST(rounds_of("tanstaaf", Outcome::accepted) == 0U);
  clock.advance_ms(1);
  BOOST_TEST(rounds_of("tanstaaf", Outcome::accepted) == kMinIterations);
  add("ada", "other", true, false);
  BOOST_TEST(rounds_of("tanstaaf", Outcome::refused) == kMinIterations);
  BOOST_TEST(rounds_of("other", Outcome::accepted) == kMinIterations);
  add("ada", "other", true, true);
  BOOST_TEST(rounds_of("other", Outcome::refused) == kMinIterations);
}

BOOST_FIXTURE_TEST_CASE(whether_any_account_has_an_apop_secret_is_known, Fixture) {
  BOOST_TEST(*verifier.has_any_apop());
  std::filesystem::remove(path);
  std::filesystem::remove(key_path_of(path));
  const auto ok = initialise({.path = path, .owner = ::geteuid(), .group = ::getegid(), .iterations = kMinIterations});
  BOOST_REQUIRE_MESSAGE(ok, why(ok));
  BOOST_TEST(!*verifier.has_any_apop());
  add("bob", "noapop", false, false);
  BOOST_TEST(*verifier.has_any_account());
  BOOST_TEST(!*verifier.has_any_apop());
  add("ada", "tanstaaf", true, false);
  BOOST_TEST(*verifier.has_any_apop());
  add("ada", "tanstaaf", false, false);
  BOOST_TEST(!*verifier.has_any_apop());
  add("ada", "tanstaaf", true, false);
  BOOST_TEST(!*verifier.has_any_apop());  // as many accounts as before
  clock.advance_ms(5000);
  BOOST_TEST(*verifier.has_any_apop());
}

struct CramCase {
  const char* user;
  const char* secret;
  Outcome outcome;
  Reason reason;
};
BOOST_FIXTURE_TEST_CASE(cram_md5, Fixture) {
  for (const auto& c : {CramCase{"ada", "tanstaaf", Outcome::accepted, Reason::none}, CramCase{"ada", "wrong", Outcome::refused, Reason::wrong_password},
                        CramCase{"bob", "noapop", Outcome::refused, Reason::no_apop_secret},
                        CramCase{"bob", "not a secret", Outcome::refused, Reason::no_apop_secret},
                        CramCase{"dan", "disabled", Outcome::refused, Reason::disabled}, CramCase{"eve", "tanstaaf", Outcome::refused, Reason::unknown_user}}) {
    const auto got = verifier.check_cram_md5(c.user, kStamp, qpop::digest::hmac_md5_hex(c.secret, kStamp));
    BOOST_TEST((got.outcome == c.outcome), c.user << ": " << words(got.reason));
    BOOST_TEST((got.reason == c.reason), c.user << ": " << words(got.reason));
  }
  // The digest of another challenge, and that of APOP.
  BOOST_TEST((verifier.check_cram_md5("ada", "<1@b>", qpop::digest::hmac_md5_hex("tanstaaf", kStamp)).outcome == Outcome::refused));
  BOOST_TEST((verifier.check_cram_md5("ada", kStamp, md5_hex(kStamp, "tanstaaf")).outcome == Outcome::refused));
}

/// A SCRAM client by the book.
bool proves(ScramStart start, std::string_view password) {
  using namespace qpop;
  const auto salted = digest::pbkdf2_sha256(password, start.secret.salt, start.secret.iterations);
  auto proof = digest::hmac_sha256(digest::view_of(salted), "Client Key");
  const std::array<std::string_view, 1> parts{digest::view_of(proof)};
  const auto stored = digest::sha256(parts);
  sasl::ScramServer server{std::move(start.secret), "n=x,r=y", "y"};
  const std::string nonce = server.first().substr(2, server.first().find(',') - 2);
  const std::string last = "c=biws,r=" + nonce;
  const auto sign = digest::hmac_sha256(digest::view_of(stored), "n=x,r=y," + server.first() + "," + last);
  for (std::size_t i = 0; i < proof.size(); ++i) proof[i] ^= sign[i];
  return server.finish(last, nonce, proof).has_value();
}

BOOST_FIXTURE_TEST_CASE(scram, Fixture) {
  BOOST_TEST(proves(verifier.begin_scram("ada"), "tanstaaf"));
  BOOST_TEST(!proves(verifier.begin_scram("ada"), "wrong"));
  BOOST_TEST((verifier.begin_scram("ada").verdict.outcome == Outcome::accepted));
  // A right proof of a disabled account comes to nothing.
  BOOST_TEST(proves(verifier.begin_scram("dan"), "disabled"));
  BOOST_TEST((verifier.begin_scram("dan").verdict.reason == Reason::disabled));
  const auto eve = verifier.begin_scram("eve");
  BOOST_TEST((eve.verdict.reason == Reason::unknown_user));
  BOOST_TEST(!proves(verifier.begin_scram("eve"), ""));
  BOOST_TEST(eve.secret.salt == verifier.begin_scram("eve").secret.salt, "an unknown user's salt does not change");
  BOOST_TEST(eve.secret.salt != verifier.begin_scram("mallory").secret.salt);
  BOOST_TEST(eve.secret.salt.size() == verifier.begin_scram("ada").secret.salt.size());
  BOOST_TEST(eve.secret.iterations == verifier.begin_scram("ada").secret.iterations);
  // A soft hyphen is mapped to nothing by SASLprep.
  BOOST_TEST(verifier.begin_scram("a\xc2\xad" "da").user == "ada");
}

BOOST_FIXTURE_TEST_CASE(external, Fixture) {
  BOOST_TEST((verifier.check_external("", "ada").outcome == Outcome::accepted));
  BOOST_TEST((verifier.check_external("ada", "ada").outcome == Outcome::accepted));
  BOOST_TEST((verifier.check_external("bob", "ada").reason == Reason::other_authorization));
  BOOST_TEST((verifier.check_external("ada", "").outcome == Outcome::refused));
  BOOST_TEST((verifier.check_external("", "").outcome == Outcome::refused));
  BOOST_TEST((verifier.check_external("", "dan").reason == Reason::disabled));
  BOOST_TEST((verifier.check_external("", "eve").reason == Reason::unknown_user));
  BOOST_TEST((verifier.check_external("", "../ada").reason == Reason::unacceptable_name));
}

BOOST_FIXTURE_TEST_CASE(clear_passwords_where_they_are_not_allowed, Fixture) {
  const Circumstances never{.clear_text_allowed = false};
  const Circumstances local{.clear_text_not_with_apop = true};
  const Circumstances inside{.clear_text_not_with_apop = true, .inside_tls = true};
  BOOST_TEST((verifier.check_password("ada", Secret{"tanstaaf"}, never).reason == Reason::clear_text));
  BOOST_TEST((verifier.check_password("ada", Secret{"tanstaaf"}, local).reason == Reason::clear_text));
  BOOST_TEST((verifier.check_password("ada", Secret{"wrong"}, local).reason == Reason::wrong_password));
  BOOST_TEST((verifier.check_password("bob", Secret{"noapop"}, local).outcome == Outcome::accepted));
  BOOST_TEST((verifier.check_password("ada", Secret{"tanstaaf"}, inside).outcome == Outcome::accepted));
}

BOOST_FIXTURE_TEST_CASE(imported_string_is_upgraded_by_a_clear_login_inside_tls, Fixture) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto database = Database::open(path, ::geteuid(), Access::read_write);
    Account account;
    account.crypt = kCryptOfTanstaaf;
    ::_exit(database && database->update("imp", [&](const auto&) -> Result<Account> { return account; }) ? 0 : 1);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_REQUIRE(status == 0);
  const Circumstances inside{.inside_tls = true};
  BOOST_TEST((verifier.begin_scram("imp").verdict.reason == Reason::no_scram));
  BOOST_TEST((verifier.check_password("imp", Secret{"tanstaaf"}, {}).outcome == Outcome::accepted));
  BOOST_TEST((verifier.begin_scram("imp").verdict.reason == Reason::no_scram), "outside TLS somebody may have listened");
  BOOST_TEST((verifier.check_password("imp", Secret{"wrong"}, inside).outcome == Outcome::refused));
  BOOST_TEST((verifier.begin_scram("imp").verdict.reason == Reason::no_scram));
  const auto upgraded = verifier.check_password("imp", Secret{"tanstaaf"}, inside);
  BOOST_TEST((upgraded.outcome == Outcome::accepted));
  BOOST_TEST(upgraded.detail == "");
  BOOST_TEST((verifier.begin_scram("imp").verdict.outcome == Outcome::accepted));
  BOOST_TEST(proves(verifier.begin_scram("imp"), "tanstaaf"));
  BOOST_TEST((verifier.check_password("imp", Secret{"tanstaaf"}, {}).outcome == Outcome::accepted));
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
