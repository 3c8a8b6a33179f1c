// SPDX-License-Identifier: MIT
// A monitor that has gone is an error of its own kind: not_found would say that there is no spool.
#include "popper/maildrop/monitor_dotlock.h"

#include <sys/socket.h>

#include <boost/test/unit_test.hpp>
#include <utility>

namespace {

using namespace qpop;

BOOST_AUTO_TEST_CASE(a_monitor_that_has_gone_is_no_absent_spool) {
  auto pair = ipc::Channel::pair();
  BOOST_REQUIRE(pair.has_value());
  // It takes the question along, and dies before it answers.
  {
    const auto theirs = std::move(pair->second);
    BOOST_TEST(::shutdown(theirs.fd(), SHUT_WR) == 0);
    maildrop::MonitorDotlock dotlock{pair->first};
    const auto locked = dotlock.try_lock(false);
    BOOST_REQUIRE(!locked.has_value());
    BOOST_TEST((locked.error().kind() == base::ErrorKind::closed));
  }
  maildrop::MonitorDotlock dotlock{pair->first};
  const auto locked = dotlock.try_lock(false);
  BOOST_REQUIRE(!locked.has_value());
  BOOST_TEST((locked.error().kind() != base::ErrorKind::not_found));
  BOOST_TEST(!dotlock.unlock().has_value());
}

}  // namespace
