// SPDX-License-Identifier: MIT
// What lies in the monitor's own memory is not there in a child.
#include "popper/monitor/own_memory.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <map>
#include <memory_resource>

#include "common/base/unique_fd.h"

namespace {

using namespace qpop;

/// Does a child have the octet at `address`? The kernel is asked: an octet that is not there cannot be written to a pipe.
bool child_has(const void* address) {
  std::array<int, 2> ends{};
  BOOST_REQUIRE(::pipe(ends.data()) == 0);
  const base::UniqueFd in{ends[0]};
  const base::UniqueFd out{ends[1]};
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(::write(out.get(), address, 1) == 1 ? 1 : errno == EFAULT ? 0 : 2);
  int status = 0;
  BOOST_REQUIRE(::waitpid(pid, &status, 0) == pid);
  BOOST_REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) < 2));
  return WEXITSTATUS(status) == 1;
}

BOOST_AUTO_TEST_CASE(containers_are_not_inherited) {
  monitor::OwnMemory memory;
  std::pmr::map<int, std::array<char, 1000>> own{memory.get()};
  std::map<int, std::array<char, 1000>> shared;
  for (int i = 0; i < 100; ++i) {
    own[i].fill('x');
    shared[i].fill('x');
  }
  for (const int i : {0, 50, 99}) {
    BOOST_TEST(!child_has(own.at(i).data()));
    BOOST_TEST(child_has(shared.at(i).data()));
    BOOST_TEST(own.at(i).back() == 'x');
  }
}

BOOST_AUTO_TEST_CASE(large_pieces_are_not_inherited_either) {
  monitor::OwnMemory memory;
  std::pmr::map<int, std::array<char, 10'000>> own{memory.get()};
  own[1].fill('x');
  BOOST_TEST(!child_has(own.at(1).data()));
  own.erase(1);
  own[2].fill('y');
  BOOST_TEST(own.at(2).back() == 'y');
}

}  // namespace
