// SPDX-License-Identifier: MIT
// Whole transfers over a pipe, which gives and takes pieces.
#include "common/base/io.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>

#include "common/base/unique_fd.h"

namespace {

using namespace qpop::base;

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    BOOST_REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    in.reset(ends[0]);
    out.reset(ends[1]);
  }
  UniqueFd in, out;
};

BOOST_AUTO_TEST_CASE(what_is_larger_than_a_pipe_arrives_whole) {
  std::string text(300'000, 'x');
  for (std::size_t i = 0; i < text.size(); i += 7) text[i] = static_cast<char>('a' + i % 26);
  Pipe pipe;
  const pid_t writer = ::fork();
  if (writer == 0) ::_exit(write_whole(pipe.out.get(), text) ? 0 : 1);
  pipe.out.reset();
  const auto got = read_whole(pipe.in.get(), text.size());
  BOOST_REQUIRE(got.has_value());
  BOOST_TEST((*got == text));
  int status = -1;
  BOOST_TEST(::waitpid(writer, &status, 0) == writer);
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(more_than_allowed_is_refused) {
  for (const std::size_t most : {std::size_t{4}, std::size_t{5}}) {
    Pipe pipe;
    BOOST_TEST(write_whole(pipe.out.get(), "12345").has_value());
    pipe.out.reset();
    const auto got = read_whole(pipe.in.get(), most);
    BOOST_TEST(got.has_value() == (most == 5));
    if (!got) BOOST_TEST((got.error().kind() == ErrorKind::limit));
  }
}

BOOST_AUTO_TEST_CASE(failures_of_the_system_are_told) {
  BOOST_TEST(!read_whole(-1, 10).has_value());
  BOOST_TEST((write_whole(-1, "x").error().errno_value() == EBADF));
  const UniqueFd full{::open("/dev/full", O_WRONLY | O_CLOEXEC)};
  if (full.valid()) BOOST_TEST((write_whole(full.get(), "x").error().kind() == ErrorKind::no_space));
}

}  // namespace
