// SPDX-License-Identifier: MIT
// Errors carry what, where and why.
#include "common/base/error.h"

#include <boost/test/unit_test.hpp>
#include <cerrno>

#include "common/base/result.h"

namespace {

using namespace qpop::base;

BOOST_AUTO_TEST_CASE(message_reads_from_the_outside_in) {
  const auto error = Error::from_errno(ENOENT, "open").at("open maildrop", "/var/mail/ada").at("session 3");
  BOOST_TEST(error.message() == "session 3: open maildrop /var/mail/ada: open: No such file or directory");
  BOOST_TEST((error.kind() == ErrorKind::not_found));
  BOOST_TEST(error.errno_value() == ENOENT);
}

BOOST_AUTO_TEST_CASE(kinds_tell_full_disk_from_refusal) {
  BOOST_TEST((kind_of_errno(EDQUOT) == ErrorKind::no_space));
  BOOST_TEST((kind_of_errno(EACCES) == ErrorKind::denied));
  BOOST_TEST((kind_of_errno(EAGAIN) == ErrorKind::busy));
  BOOST_TEST((kind_of_errno(EIO) == ErrorKind::io));
}

BOOST_AUTO_TEST_CASE(result_holds_value_or_error) {
  const Result<int> good{3};
  const Result<int> bad{Error{ErrorKind::limit, "too many"}};
  BOOST_TEST(good.has_value());
  BOOST_TEST(!bad.has_value());
  BOOST_TEST(bad.error().detail() == "too many");
}

}  // namespace
