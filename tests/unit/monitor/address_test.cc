// SPDX-License-Identifier: MIT
// Listen values and address blocks.
#include "popper/monitor/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstring>
#include <ostream>

#include "popper/monitor/unix_address.h"

namespace {

using namespace qpop::monitor;

struct ListenCase {
  std::string_view text, host;
  int port;  ///< 0: refused
};
std::ostream& operator<<(std::ostream& out, const ListenCase& c) { return out << '"' << c.text << '"'; }
constexpr std::array kListen{
    ListenCase{"110", "", 110},           ListenCase{":8110", "", 8110},          ListenCase{"192.0.2.1", "192.0.2.1", 110},
    ListenCase{"192.0.2.1:995", "192.0.2.1", 995}, ListenCase{"[::1]", "::1", 110}, ListenCase{"[::1]:8110", "::1", 8110},
    ListenCase{"::1:8110", "", 0},        ListenCase{"[::1", "", 0},              ListenCase{"[::1]8110", "", 0},
    ListenCase{"0", "", 0},               ListenCase{"65536", "", 0},             ListenCase{"192.0.2.1:pop3", "", 0},
};
BOOST_DATA_TEST_CASE(reads_or_refuses_listen_values, boost::unit_test::data::make(kListen), c) {
  const auto got = parse_listen(c.text);
  BOOST_TEST(got.has_value() == (c.port != 0));
  if (!got) return;
  BOOST_TEST(got->host == c.host);
  BOOST_TEST(got->port == c.port);
}

ClientAddress describe(const char* text) {
  sockaddr_storage address{};
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    std::memcpy(&address, &v4, sizeof v4);
  } else {
    BOOST_REQUIRE(::inet_pton(AF_INET6, text, &v6.sin6_addr) == 1);
    v6.sin6_family = AF_INET6;
    std::memcpy(&address, &v6, sizeof v6);
  }
  return describe_client(address);
}

BOOST_AUTO_TEST_CASE(blocks_are_one_ipv4_address_or_an_ipv6_48) {
  BOOST_TEST(describe("192.0.2.7").block == "192.0.2.7");
  BOOST_TEST(describe("2001:db8:1:2:3:4:5:6").block == "2001:db8:1::/48");
  BOOST_TEST(describe("2001:db8:1:ffff::1").block == describe("2001:db8:1:2::9").block);
  BOOST_TEST(describe("2001:db8:2::1").block != describe("2001:db8:1::1").block);
  BOOST_TEST(describe("::ffff:192.0.2.7").text == "192.0.2.7");
}

BOOST_AUTO_TEST_CASE(loopback_is_told_from_everything_else) {
  for (const char* text : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"}) BOOST_TEST(describe(text).loopback, text);
  for (const char* text : {"128.0.0.1", "1.0.0.127", "::2", "::ffff:1.2.3.4"}) BOOST_TEST(!describe(text).loopback, text);
}

BOOST_AUTO_TEST_CASE(paths_of_sockets) {
  const auto named = unix_address("/run/x");
  BOOST_REQUIRE(named.has_value());
  BOOST_TEST(std::string_view{named->storage.sun_path} == "/run/x");
  BOOST_TEST(named->size == offsetof(sockaddr_un, sun_path) + 6U);
  // A name without a file: all octets count, the first is NUL.
  const auto nameless = unix_address("@abc");
  BOOST_REQUIRE(nameless.has_value());
  BOOST_TEST((std::string_view{nameless->storage.sun_path, 4} == std::string_view{"\0abc", 4}));
  BOOST_TEST(nameless->size == offsetof(sockaddr_un, sun_path) + 4U);
  BOOST_TEST(!unix_address("").has_value());
  BOOST_TEST(unix_address(std::string(107, 'x')).has_value());
  BOOST_TEST(!unix_address(std::string(108, 'x')).has_value());
}

}  // namespace
