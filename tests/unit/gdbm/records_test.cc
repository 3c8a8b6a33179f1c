// SPDX-License-Identifier: MIT
// Records of gdbm files, and what must happen before one is read.
#include "common/gdbm/records.h"

#include <fcntl.h>
#include <gdbm.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <string>

#include "common/base/unique_fd.h"
#include "tests/unit/db/temporary_folder.h"

namespace {

using namespace qpop;
using base::Error;
using base::ErrorKind;
using base::Status;
using base::UniqueFd;

datum datum_of(std::string& text) { return {text.data(), static_cast<int>(text.size())}; }

UniqueFd make_file(const std::string& path, gdbm::Pairs pairs) {
  GDBM_FILE file = gdbm_open(path.c_str(), 0, GDBM_NEWDB, 0600, nullptr);
  BOOST_REQUIRE(file != nullptr);
  for (auto& [key, value] : pairs) BOOST_REQUIRE(gdbm_store(file, datum_of(key), datum_of(value), GDBM_REPLACE) == 0);
  gdbm_close(file);
  return UniqueFd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
}

BOOST_AUTO_TEST_CASE(all_records_with_any_octets) {
  const test::TemporaryFolder folder;
  const gdbm::Pairs want{{std::string("ada\0", 4), std::string("\0\1\xff", 3)}, {"bob", ""}, {"cy", std::string(4096, 'x')}};
  const auto fd = make_file(folder / "file", want);
  auto got = gdbm::read_records(fd.get());
  BOOST_REQUIRE(got.has_value());
  std::sort(got->begin(), got->end());
  BOOST_TEST((*got == want));
}

BOOST_AUTO_TEST_CASE(an_item_too_large_is_a_limit) {
  const test::TemporaryFolder folder;
  const auto fd = make_file(folder / "file", {{"ada", std::string(4097, 'x')}});
  const auto got = gdbm::read_records(fd.get());
  BOOST_TEST((!got && got.error().kind() == ErrorKind::limit));
}

BOOST_AUTO_TEST_CASE(another_file_is_refused) {
  const test::TemporaryFolder folder;
  const auto path = folder / "text";
  const UniqueFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  BOOST_REQUIRE(::write(fd.get(), "ada: 3\n", 7) == 7);
  const auto got = gdbm::read_records(fd.get());
  BOOST_TEST((!got && got.error().kind() == ErrorKind::malformed));
}

BOOST_AUTO_TEST_CASE(rights_are_given_up_in_the_child_and_first) {
  const test::TemporaryFolder folder;
  const auto fd = make_file(folder / "file", {{"ada", "3"}});
  std::array<int, 2> ends{};
  BOOST_REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  const UniqueFd reader{ends[0]}, writer{ends[1]};
  // Without the file the library can read nothing: whoever takes it away has come before it.
  const auto none = gdbm::read_records(fd.get(), [&](int out) -> Status {
    const pid_t self = ::getpid();
    if (out < 0 || ::write(writer.get(), &self, sizeof self) != sizeof self) return Error{ErrorKind::io, "write"};
    ::close(fd.get());
    return {};
  });
  BOOST_TEST((!none && none.error().kind() == ErrorKind::malformed));
  pid_t child = 0;
  BOOST_REQUIRE(::read(reader.get(), &child, sizeof child) == sizeof child);
  BOOST_TEST(child != ::getpid());
  const auto refused = gdbm::read_records(fd.get(), [](int) -> Status { return Error{ErrorKind::denied, "no"}; });
  BOOST_TEST((!refused && refused.error().kind() == ErrorKind::denied));
  BOOST_TEST(gdbm::read_records(fd.get(), [](int) -> Status { return {}; }).has_value());
}

BOOST_AUTO_TEST_CASE(berkeley_databases_are_known_by_their_heads) {
  std::string head(16, '\0');
  BOOST_TEST(!gdbm::is_berkeley_db(head));
  BOOST_TEST(!gdbm::is_berkeley_db(""));
  head.replace(12, 4, std::string("\x61\x15\x06\x00", 4));
  BOOST_TEST(gdbm::is_berkeley_db(head));
  BOOST_TEST(!gdbm::is_berkeley_db(head.substr(0, 15)));
  BOOST_TEST(gdbm::is_berkeley_db(std::string("\x62\x31\x05\x00", 4)));
}

}  // namespace
