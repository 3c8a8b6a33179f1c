// SPDX-License-Identifier: MIT
// Messages arrive whole, of the right type and size, with their descriptors, or not at all.
#include "common/ipc/channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>

#include "common/ipc/messages.h"

namespace {

using namespace qpop::ipc;
using qpop::base::ErrorKind;

std::pair<Channel, Channel> channels() {
  auto pair = Channel::pair();
  BOOST_REQUIRE(pair.has_value());
  return std::move(*pair);
}

BOOST_AUTO_TEST_CASE(hands_over_message_and_descriptors) {
  const auto [a, b] = channels();
  UpdateBegin begin;
  begin.count = 17;
  std::array<int, 2> pipe{};
  BOOST_REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
  BOOST_TEST(a.send(begin, pipe).has_value());
  const auto frame = b.receive(1000);
  BOOST_REQUIRE(frame.has_value());
  UpdateBegin got;
  BOOST_TEST(frame->read(got));
  BOOST_TEST(got.count == 17U);
  BOOST_REQUIRE(frame->descriptors.size() == 2U);
  BOOST_TEST(::write(frame->descriptors[1].get(), "x", 1) == 1);
  char octet = 0;
  BOOST_TEST(::read(pipe[0], &octet, 1) == 1);
  BOOST_TEST((::fcntl(frame->descriptors[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

BOOST_AUTO_TEST_CASE(a_message_of_another_type_is_not_read) {
  const auto [a, b] = channels();
  BOOST_TEST(a.send(RequestUpdate{}).has_value());
  const auto frame = b.receive(1000);
  BOOST_REQUIRE(frame.has_value());
  UpdateChannel other;  // the same size
  BOOST_TEST(!frame->read(other));
}

void send_raw(const Channel& channel, const MessageHeader& header, std::size_t payload) {
  std::vector<char> bytes(sizeof header + payload, 'x');
  std::memcpy(bytes.data(), &header, sizeof header);
  BOOST_REQUIRE(::send(channel.fd(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
}

BOOST_AUTO_TEST_CASE(short_long_foreign_and_oversized_messages_are_refused) {
  const auto pair = channels();
  const Channel& a = pair.first;
  const Channel& b = pair.second;
  const auto refused = [&](const MessageHeader& header, std::size_t payload) {
    send_raw(a, header, payload);
    const auto frame = b.receive(1000);
    return !frame.has_value() && frame.error().kind() == ErrorKind::malformed;
  };
  BOOST_TEST(refused({kProtocol, 1, 10}, 9));
  BOOST_TEST(refused({kProtocol, 1, 10}, 11));
  BOOST_TEST(refused({kProtocol + 1, 1, 10}, 10));
  BOOST_TEST(refused({kProtocol, 1, 5000}, 5000));
  BOOST_REQUIRE(::send(a.fd(), "abc", 3, 0) == 3);
  BOOST_TEST((b.receive(1000).error().kind() == ErrorKind::malformed));
}

BOOST_AUTO_TEST_CASE(tells_silence_from_a_closed_channel) {
  auto [a, b] = channels();
  BOOST_TEST((b.receive(0).error().kind() == ErrorKind::busy));
  a.close();
  BOOST_TEST((b.receive(0).error().kind() == ErrorKind::closed));
}

BOOST_AUTO_TEST_CASE(a_length_beyond_the_field_never_leaves_it) {
  UserName name;
  name.set(std::string(400, 'a'));
  BOOST_TEST(name.view().size() == 255U);
  name.size = 65535;
  BOOST_TEST(name.view().size() == 255U);
}

}  // namespace
