// SPDX-License-Identifier: MIT
// The main() that every unit test program shares.
#define BOOST_TEST_MODULE qpopper
#include <boost/test/unit_test.hpp>
