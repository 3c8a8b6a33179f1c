// SPDX-License-Identifier: MIT
// Damaged and hand-made files give an error or keep working; they never crash the process.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <random>

#include "common/db/environment.h"
#include "common/db/file_check.h"
#include "tests/unit/db/temporary_folder.h"

namespace {

using namespace qpop::db;
using qpop::base::ErrorKind;
using qpop::base::Status;
using qpop::test::TemporaryFolder;

constexpr std::size_t kPage = 4096;

/// A file with two levels of pages and a free list.
std::string sample(const TemporaryFolder& folder) {
  const auto path = folder / "sample";
  auto env = Environment::create(path);
  BOOST_REQUIRE(env);
  for (int i = 0; i < 12; ++i) {
    BOOST_REQUIRE(env->write([&](Writer& writer) -> Status {
      for (int j = 0; j < 6; ++j) {
        if (auto ok = writer.put("user" + std::to_string(i * 6 + j), std::string(420, 'r')); !ok) return ok;
      }
      return {};
    }));
  }
  return qpop::test::read_file(path);
}

/// Everything a program does with a file: open, read all, change, delete.
void exercise(const std::string& path) {
  auto env = Environment::open(path);
  if (!env) return;
  for (int i = 0; i < 72; i += 5) {
    auto found = env->read([&](const Reader& reader) -> Status {
      auto value = reader.get("user" + std::to_string(i));
      if (!value) return value.error();
      return *value && (*value)->ends_with('x') ? Status{} : Status{};
    });
    if (!found && found.error().message().empty()) return;
  }
  auto walked = env->read([](const Reader& reader) {
    return reader.walk(
        [](std::string_view key, std::string_view value) { return key.size() + value.size() < 100'000; });
  });
  for (int i = 0; walked && i < 3; ++i) {
    auto done = env->write([&](Writer& writer) -> Status {
      for (int j = 0; j < 80; j += 7) {
        if (auto ok = writer.remove("user" + std::to_string(j + i)); !ok) return ok.error();
      }
      return writer.put("new" + std::to_string(i), std::string(3000, 'n'));
    });
    if (!done) return;
  }
}

/// Opens `bytes` as a database in a child process: one crash must not end the test.
bool survives(const TemporaryFolder& folder, const std::string& bytes) {
  const auto path = folder / "damaged";
  qpop::test::write_file(path, bytes);
  qpop::test::write_file(path + "-lock", "");
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    exercise(path);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0;
}

BOOST_AUTO_TEST_CASE(changed_octets_of_both_meta_pages) {
  const TemporaryFolder folder;
  const auto good = sample(folder);
  BOOST_REQUIRE(survives(folder, good));
  for (const std::size_t page : {std::size_t{0}, kPage}) {
    for (std::size_t at = page; at < page + 160; ++at) {
      auto bytes = good;
      const int mask = at % 3 == 0 ? 0x01 : at % 3 == 1 ? 0x80 : 0xFF;
      bytes[at] = static_cast<char>(bytes[at] ^ mask);
      BOOST_TEST(survives(folder, bytes), "octet " << at << " mask " << mask);
    }
  }
}

BOOST_AUTO_TEST_CASE(changed_page_heads_and_entries) {
  const TemporaryFolder folder;
  const auto good = sample(folder);
  std::mt19937 random{4711};
  for (std::size_t page = 2 * kPage; page < good.size(); page += kPage) {
    for (int i = 0; i < 24; ++i) {
      auto bytes = good;
      // Page head and offsets, and the last entries, where the sizes and child pages stand.
      const std::size_t at = page + (i % 2 == 0 ? random() % 48 : kPage - 1 - random() % 900);
      bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(1 + random() % 255));
      BOOST_TEST(survives(folder, bytes), "octet " << at);
    }
  }
}

BOOST_AUTO_TEST_CASE(truncated_empty_and_random_files) {
  const TemporaryFolder folder;
  const auto good = sample(folder);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{16}, std::size_t{151}, std::size_t{152}, kPage - 1, kPage,
        kPage + 100, 2 * kPage, 3 * kPage, good.size() / 2, good.size() - kPage, good.size() - 1}) {
    BOOST_TEST(survives(folder, good.substr(0, size)), "size " << size);
  }
  std::mt19937 random{42};
  for (int i = 0; i < 20; ++i) {
    std::string bytes(random() % 20'000, '\0');
    for (auto& c : bytes) c = static_cast<char>(random());
    BOOST_TEST(survives(folder, bytes), "random " << i);
    auto half = good;
    for (std::size_t at = 2 * kPage; at < half.size(); ++at) half[at] = static_cast<char>(random());
    BOOST_TEST(survives(folder, half), "random pages " << i);
  }
}

BOOST_AUTO_TEST_CASE(pages_exchanged_or_doubled) {
  const TemporaryFolder folder;
  const auto good = sample(folder);
  for (std::size_t from = 2 * kPage; from + kPage <= good.size(); from += kPage) {
    auto bytes = good;
    const std::size_t to = from + kPage < good.size() ? from + kPage : 2 * kPage;
    bytes.replace(to, kPage, good.substr(from, kPage));
    BOOST_TEST(survives(folder, bytes), "page " << from / kPage);
  }
}

/// The pages on the way to "user0" are in order, a page elsewhere is not: look-up works, walk and change refuse.
BOOST_AUTO_TEST_CASE(a_look_up_needs_its_own_pages_only) {
  const TemporaryFolder folder;
  auto bytes = sample(folder);
  // A leaf that holds user71 but not user0 loses its number.
  for (std::size_t page = 2 * kPage; page < bytes.size(); page += kPage) {
    const auto text = std::string_view{bytes}.substr(page, kPage);
    const bool in_use = text.find("user71") != text.npos && text.find(std::string("user0") + std::string(420, 'r')) == text.npos;
    if (in_use) bytes[page] = static_cast<char>(bytes[page] ^ 0x7F);
  }
  const auto path = folder / "sample";
  qpop::test::write_file(path, bytes);
  auto env = Environment::open(path);
  BOOST_REQUIRE_MESSAGE(env, qpop::test::why(env));
  const auto look_up = [&](const char* key) {
    return env->read([&](const Reader& reader) -> Status {
      auto value = reader.get(key);
      return value ? Status{} : value.error();
    });
  };
  BOOST_TEST(look_up("user0").has_value());
  BOOST_TEST((look_up("user71").error().kind() == ErrorKind::malformed));
  const auto walked = env->read([](const Reader& reader) { return reader.walk([](auto, auto) { return true; }); });
  BOOST_TEST((!walked && walked.error().kind() == ErrorKind::malformed));
  const auto written = env->write([](Writer& writer) { return writer.put("user0", "x"); });
  BOOST_TEST((!written && written.error().kind() == ErrorKind::malformed));
}

BOOST_AUTO_TEST_CASE(file_truncated_while_open_is_an_error) {
  const TemporaryFolder folder;
  const auto path = folder / "sample";
  sample(folder);
  auto env = Environment::open(path);
  BOOST_REQUIRE(env);
  BOOST_REQUIRE(::truncate(path.c_str(), kPage) == 0);
  const auto got = env->read([](const Reader&) { return Status{}; });
  BOOST_TEST((!got && got.error().kind() == ErrorKind::malformed));
}

struct RefusalCase {
  const char* name;
  std::string bytes;
  ErrorKind want;
};

BOOST_AUTO_TEST_CASE(refusals_have_their_kind) {
  const TemporaryFolder folder;
  auto good = sample(folder);
  auto version = good;
  version[20] = 9;
  auto magic = good;
  magic[16] = 'x';
  const RefusalCase cases[] = {{"empty", "", ErrorKind::malformed},
                               {"text", std::string(9000, 't'), ErrorKind::malformed},
                               {"version", version, ErrorKind::unsupported},
                               {"magic", magic, ErrorKind::malformed}};
  for (const auto& c : cases) {
    qpop::test::write_file(folder / "x", c.bytes);
    const auto env = Environment::open(folder / "x");
    BOOST_TEST((!env && env.error().kind() == c.want), c.name);
  }
  BOOST_TEST((Environment::open(folder / "none").error().kind() == ErrorKind::not_found));
  BOOST_REQUIRE(::symlink((folder / "sample").c_str(), (folder / "link").c_str()) == 0);
  BOOST_TEST((Environment::open(folder / "link").error().kind() == ErrorKind::unsafe));
  BOOST_REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  BOOST_TEST((Environment::open(folder / "fifo").error().kind() == ErrorKind::unsafe));
}

}  // namespace
