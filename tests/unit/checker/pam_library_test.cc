// SPDX-License-Identifier: MIT
// libpam is there or it is said what is missing.
#include "popper/checker/pam_library.h"

#include <boost/test/unit_test.hpp>

namespace {

using namespace qpop;
using checker::load_pam;

std::string fault_of(const char* name) {
  const auto loaded = load_pam(name);
  BOOST_REQUIRE(!loaded.has_value());
  BOOST_TEST((loaded.error().kind() == base::ErrorKind::not_found));
  return loaded.error().message();
}

BOOST_AUTO_TEST_CASE(a_library_that_is_missing_is_named) {
  const auto text = fault_of("libnone-of-that-name.so.0");
  BOOST_TEST(text.find("libnone-of-that-name.so.0 cannot be used: ") == 0U);
  BOOST_TEST(text.find("No such file") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(so_is_a_function_that_it_lacks) {
  BOOST_TEST(fault_of("libc.so.6").find("it has no pam_") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_library_of_the_system_answers) {
  const auto pam = checker::pam_library();
  BOOST_REQUIRE(pam.has_value());
  BOOST_TEST((*pam)->strerror(nullptr, PAM_AUTH_ERR) != nullptr);
}

}  // namespace
