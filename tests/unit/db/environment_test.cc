// SPDX-License-Identifier: MIT
// The LMDB wrapper: records, growth, forks, death of a writer, replaced files.
#include "common/db/environment.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <vector>

#include "common/db/file_check.h"
#include "tests/unit/db/temporary_folder.h"

namespace {

using namespace qpop::db;
using qpop::base::Error;
using qpop::base::ErrorKind;
using qpop::base::Status;
using qpop::test::TemporaryFolder;
using qpop::test::why;

Status put(Environment& env, const std::string& key, const std::string& value) {
  return env.write([&](Writer& writer) { return writer.put(key, value); });
}

std::string get(Environment& env, const std::string& key) {
  std::string got = "(none)";
  auto ok = env.read([&](const Reader& reader) -> Status {
    auto value = reader.get(key);
    if (!value) return value.error();
    if (*value) got = std::string{**value};
    return {};
  });
  return ok ? got : "(error) " + ok.error().message();
}

BOOST_AUTO_TEST_CASE(keeps_records_over_reopening) {
  const TemporaryFolder folder;
  {
    auto env = Environment::create(folder / "a");
    BOOST_REQUIRE_MESSAGE(env, why(env));
    BOOST_REQUIRE(put(*env, "ada", "1"));
    BOOST_REQUIRE(put(*env, "bob", "2"));
    BOOST_REQUIRE(put(*env, "ada", "3"));
  }
  auto env = Environment::open(folder / "a");
  BOOST_REQUIRE(env);
  BOOST_TEST(get(*env, "ada") == "3");
  BOOST_TEST(get(*env, "eve") == "(none)");
  BOOST_TEST(get(*env, "") == "(none)");
  std::string keys;
  BOOST_REQUIRE(env->read([&](const Reader& reader) {
    return reader.walk([&](std::string_view key, std::string_view) {
      keys += std::string{key} + ",";
      return true;
    });
  }));
  BOOST_TEST(keys == "ada,bob,");
  BOOST_REQUIRE(env->write([](Writer& writer) -> Status {
    BOOST_TEST(*writer.remove("ada"));
    BOOST_TEST(!*writer.remove("ada"));
    return {};
  }));
  BOOST_TEST(get(*env, "ada") == "(none)");
}

BOOST_AUTO_TEST_CASE(a_failing_body_changes_nothing) {
  const TemporaryFolder folder;
  auto env = Environment::create(folder / "a");
  BOOST_REQUIRE(env);
  const auto failed = env->write([](Writer& writer) -> Status {
    BOOST_REQUIRE(writer.put("ada", "1"));
    return Error{ErrorKind::denied, "no"};
  });
  BOOST_TEST(!failed);
  BOOST_TEST(get(*env, "ada") == "(none)");
}

BOOST_AUTO_TEST_CASE(create_refuses_an_existing_file) {
  const TemporaryFolder folder;
  qpop::test::write_file(folder / "a", "");
  BOOST_TEST(!Environment::create(folder / "a"));
  qpop::test::write_file(folder / "b-lock", "");
  BOOST_TEST(!Environment::create(folder / "b"));
}

BOOST_AUTO_TEST_CASE(map_grows_and_other_environments_follow) {
  const TemporaryFolder folder;
  auto env = Environment::create(folder / "a");
  BOOST_REQUIRE(env);
  const std::string value(1000, 'x');
  int runs = 0;
  // One transaction larger than the first map: the body runs again after each growth.
  BOOST_REQUIRE(env->write([&](Writer& writer) -> Status {
    ++runs;
    for (int i = 0; i < 3000; ++i) {
      if (auto ok = writer.put("key" + std::to_string(i), value); !ok) return ok;
    }
    return {};
  }));
  BOOST_TEST(runs > 1);
  BOOST_TEST(get(*env, "key2999") == value);
  auto again = Environment::open(folder / "a", true);
  BOOST_REQUIRE_MESSAGE(again, why(again));
  BOOST_TEST(get(*again, "key2999") == value);
}

BOOST_AUTO_TEST_CASE(reader_follows_a_map_grown_by_another_process) {
  const TemporaryFolder folder;
  auto env = Environment::create(folder / "a");
  BOOST_REQUIRE(env);
  const pid_t child = ::fork();
  if (child == 0) {
    auto other = Environment::open(folder / "a");
    bool fine = other.has_value();
    for (int i = 0; fine && i < 4000; i += 100) {
      fine = other
                 ->write([&](Writer& writer) -> Status {
                   for (int j = i; j < i + 100; ++j) {
                     if (auto ok = writer.put("key" + std::to_string(j), std::string(1000, 'y')); !ok) return ok;
                   }
                   return {};
                 })
                 .has_value();
    }
    ::_exit(fine ? 0 : 1);
  }
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) BOOST_REQUIRE(get(*env, "key0").substr(0, 7) != "(error)");
  BOOST_TEST(status == 0);
  BOOST_TEST(get(*env, "key3999") == std::string(1000, 'y'));
  BOOST_TEST(put(*env, "ada", "1").has_value());
}

BOOST_AUTO_TEST_CASE(handle_is_refused_after_fork_and_harmless_there) {
  const TemporaryFolder folder;
  auto env = Environment::create(folder / "a");
  BOOST_REQUIRE(env);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool refused =
        !env->read([](const Reader&) { return Status{}; }) && !env->write([](Writer&) { return Status{}; });
    { auto dropped = std::move(*env); }
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
  BOOST_TEST(put(*env, "ada", "1").has_value());
}

BOOST_AUTO_TEST_CASE(transactions_do_not_nest) {
  const TemporaryFolder folder;
  auto env = Environment::create(folder / "a");
  BOOST_REQUIRE(env);
  const auto outer = env->read([&](const Reader&) { return env->write([](Writer&) { return Status{}; }); });
  BOOST_TEST((!outer && outer.error().kind() == ErrorKind::limit));
}

BOOST_AUTO_TEST_CASE(read_only_environment_cannot_write) {
  const TemporaryFolder folder;
  BOOST_REQUIRE(Environment::create(folder / "a"));
  auto env = Environment::open(folder / "a", true);
  BOOST_REQUIRE(env);
  const auto ok = put(*env, "ada", "1");
  BOOST_TEST((!ok && ok.error().kind() == ErrorKind::denied));
}

/// A child that dies inside a write transaction after `changes` records.
void die_while_writing(const std::string& path, int changes) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto env = Environment::open(path);
    if (!env) ::_exit(1);
    auto ignored = env->write([&](Writer& writer) -> Status {
      for (int i = 0; i < changes; ++i) {
        if (!writer.put("lost" + std::to_string(i), std::string(500, 'z'))) ::_exit(2);
      }
      ::kill(::getpid(), SIGKILL);
      return {};
    });
    ::_exit(ignored ? 3 : 4);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
}

BOOST_AUTO_TEST_CASE(killed_writer_leaves_the_last_commit) {
  const TemporaryFolder folder;
  const auto path = folder / "a";
  auto env = Environment::create(path);
  BOOST_REQUIRE(env);
  BOOST_REQUIRE(put(*env, "ada", "1"));
  for (const int changes : {0, 1, 500}) {
    die_while_writing(path, changes);
    BOOST_TEST(get(*env, "ada") == "1");
    BOOST_TEST(get(*env, "lost0") == "(none)");
    auto fresh = Environment::open(path);
    BOOST_REQUIRE_MESSAGE(fresh, why(fresh));
    BOOST_TEST(put(*fresh, "bob", std::to_string(changes)).has_value());
    BOOST_TEST(get(*env, "bob") == std::to_string(changes));
  }
}

BOOST_AUTO_TEST_CASE(writer_killed_at_any_moment_leaves_whole_records) {
  const TemporaryFolder folder;
  const auto path = folder / "a";
  BOOST_REQUIRE(Environment::create(path));
  for (int round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto env = Environment::open(path);
      for (int i = 0; env && put(*env, "key" + std::to_string(i % 50), std::string(300, 'k')); ++i) continue;
      ::_exit(1);
    }
    ::usleep(static_cast<useconds_t>(3000 + round * 1700));
    ::kill(child, SIGKILL);
    BOOST_REQUIRE(::waitpid(child, nullptr, 0) == child);
    auto env = Environment::open(path);
    BOOST_REQUIRE_MESSAGE(env, why(env));
    BOOST_REQUIRE(env->read([](const Reader& reader) {
      return reader.walk([](std::string_view, std::string_view value) {
        BOOST_TEST(value == std::string(300, 'k'));
        return true;
      });
    }));
    BOOST_TEST(put(*env, "after", std::string(300, 'k')).has_value());
  }
}

BOOST_AUTO_TEST_CASE(structure_check_accepts_what_lmdb_writes) {
  const TemporaryFolder folder;
  const auto path = folder / "a";
  auto env = Environment::create(path);
  BOOST_REQUIRE(env);
  unsigned random = 1;
  for (int round = 0; round < 60; ++round) {
    BOOST_REQUIRE(env->write([&](Writer& writer) -> Status {
      for (int i = 0; i < 40; ++i) {
        random = random * 1103515245 + 12345;
        const auto key = "user" + std::to_string((random >> 8U) % 700);
        const std::size_t size = (random >> 20U) % (round % 3 == 0 ? 9000 : 600);
        if (round % 5 == 4 || size % 3 == 0) {
          if (auto ok = writer.remove(key); !ok) return ok.error();
        } else if (auto ok = writer.put(key, std::string(size, 'v')); !ok) {
          return ok;
        }
      }
      return {};
    }));
    auto fresh = Environment::open(path);
    BOOST_REQUIRE_MESSAGE(fresh, "round " << round << ": " << why(fresh));
  }
  BOOST_REQUIRE(env->write([](Writer& writer) -> Status {
    for (int i = 0; i < 700; ++i) BOOST_REQUIRE(writer.remove("user" + std::to_string(i)));
    return {};
  }));
  BOOST_TEST(Environment::open(path).has_value());
}

/// A child that holds a reader slot until it is killed; ready once `pipe` has an octet.
pid_t hold_reader(const std::string& path, int pipe) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  auto env = Environment::open(path, true);
  if (!env) ::_exit(1);
  auto ok = env->read([&](const Reader&) -> Status {
    if (::write(pipe, "r", 1) != 1) ::_exit(2);
    for (;;) ::pause();
  });
  ::_exit(ok ? 3 : 4);
}

BOOST_AUTO_TEST_CASE(too_many_readers_are_told_so_and_dead_ones_are_cleared) {
  const TemporaryFolder folder;
  const auto path = folder / "a";
  {
    auto env = Environment::create(path);
    BOOST_REQUIRE(env);
    BOOST_REQUIRE(put(*env, "ada", "1"));
  }
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  std::vector<pid_t> children;
  for (int i = 0; i < 126; ++i) children.push_back(hold_reader(path, ends[1]));
  char octet = 0;
  for (int i = 0; i < 126; ++i) BOOST_REQUIRE(::read(ends[0], &octet, 1) == 1);
  const auto full = Environment::open(path, true);
  BOOST_TEST((!full && full.error().kind() == ErrorKind::busy));
  BOOST_TEST(why(full).find("too many processes read the file") != std::string::npos, why(full));
  for (const pid_t child : children) {
    ::kill(child, SIGKILL);
    BOOST_REQUIRE(::waitpid(child, nullptr, 0) == child);
  }
  ::close(ends[0]);
  ::close(ends[1]);
  auto env = Environment::open(path);
  BOOST_REQUIRE_MESSAGE(env, why(env));
  BOOST_TEST(get(*env, "ada") == "1");
  BOOST_TEST(put(*env, "ada", "2").has_value());
}

BOOST_AUTO_TEST_CASE(data_file_replaced_under_a_used_lock_file_is_noticed) {
  const TemporaryFolder folder;
  auto old = Environment::create(folder / "a");
  BOOST_REQUIRE(old);
  for (int i = 0; i < 9; ++i) BOOST_REQUIRE(put(*old, "ada", std::to_string(i)));
  BOOST_REQUIRE(Environment::create(folder / "b"));
  const pid_t holder = ::getpid();
  BOOST_REQUIRE(::rename((folder / "b").c_str(), (folder / "a").c_str()) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto env = Environment::open(folder / "a");
    ::_exit(!env && env.error().kind() == ErrorKind::busy ? 0 : 1);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
  BOOST_TEST(holder == ::getpid());
  BOOST_TEST(get(*old, "ada") == "8");
  // Nobody would ever read what is written to the file without a name.
  const auto late = put(*old, "ada", "9");
  BOOST_TEST((!late && late.error().kind() == ErrorKind::changed));
}

BOOST_AUTO_TEST_CASE(append_takes_keys_in_order_only) {
  const TemporaryFolder folder;
  auto env = Environment::create(folder / "a");
  BOOST_REQUIRE(env);
  const auto append = [&](const char* key) {
    return env->write([&](Writer& writer) { return writer.append(key, "v"); }).has_value();
  };
  BOOST_TEST(append("a"));
  BOOST_TEST(append("c"));
  BOOST_TEST(!append("b"));
  BOOST_TEST(get(*env, "c") == "v");
}

struct TypeCase {
  const char* name;
  std::uint32_t type;
  bool want;
};
constexpr TypeCase kTypes[] = {
    {"nfs", 0x6969, true},        {"cifs", 0xFF534D42, true}, {"fuse", 0x65735546, true},
    {"9p", 0x01021997, true},     {"ext4", 0xEF53, false},    {"xfs", 0x58465342, false},
    {"tmpfs", 0x01021994, false}, {"zfs", 0x2FC12FC1, false}, {"overlay", 0x794C7630, false}};

BOOST_AUTO_TEST_CASE(network_file_systems_are_known) {
  for (const auto& c : kTypes) BOOST_TEST(is_network_file_system(c.type) == c.want, c.name);
}

}  // namespace
