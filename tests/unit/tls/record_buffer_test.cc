// SPDX-License-Identifier: MIT
// All that the library wrote leaves in one send: a socket of packets shows where one send ends.
#include "common/tls/record_buffer.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <string>

#include "common/base/unique_fd.h"
#include "common/tls/handles.h"

namespace {

using namespace qpop;
using tls::RecordBuffer;

struct Pair {
  base::UniqueFd ours, theirs;
  explicit Pair(int kind) {
    std::array<int, 2> ends{};
    BOOST_REQUIRE(::socketpair(AF_UNIX, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    ours.reset(ends[0]);
    theirs.reset(ends[1]);
  }
  [[nodiscard]] std::string receive(std::size_t most) const {
    std::string out(most, '\0');
    const ssize_t got = ::recv(theirs.get(), out.data(), out.size(), 0);
    out.resize(got > 0 ? static_cast<std::size_t>(got) : 0U);
    return out;
  }
};

void write(BIO* bio, const std::string& octets) {
  std::size_t written = 0;
  BOOST_TEST(::BIO_write_ex(bio, octets.data(), octets.size(), &written) == 1);
  BOOST_TEST(written == octets.size());
}

BOOST_AUTO_TEST_CASE(several_writes_leave_in_one_send) {
  const Pair pair{SOCK_SEQPACKET};
  RecordBuffer records;
  const tls::BioHandle bio{records.make_bio()};
  BOOST_REQUIRE(bio != nullptr);
  BOOST_TEST((records.send(pair.ours.get()) == RecordBuffer::Outcome::empty));
  for (const auto* octets : {"one", "two", "three"}) write(bio.get(), octets);
  BOOST_TEST(BIO_flush(bio.get()) == 1);
  BOOST_TEST(records.waiting() == 11U);
  BOOST_TEST((records.send(pair.ours.get()) == RecordBuffer::Outcome::empty));
  BOOST_TEST(records.waiting() == 0U);
  BOOST_TEST(pair.receive(100) == "onetwothree");
  write(bio.get(), "four");
  BOOST_TEST((records.send(pair.ours.get()) == RecordBuffer::Outcome::empty));
  BOOST_TEST(pair.receive(100) == "four");
}

BOOST_AUTO_TEST_CASE(what_a_full_socket_does_not_take_waits_and_keeps_its_order) {
  const Pair pair{SOCK_STREAM};
  RecordBuffer records;
  const tls::BioHandle bio{records.make_bio()};
  std::string sent;
  std::string got;
  for (char c = 'a'; c <= 'z'; ++c) {
    const std::string block(100'000, c);
    sent += block;
    write(bio.get(), block);
  }
  unsigned full = 0;
  while (records.send(pair.ours.get()) == RecordBuffer::Outcome::full) {
    ++full;
    got += pair.receive(150'000);
  }
  for (std::string more = pair.receive(1'000'000); !more.empty(); more = pair.receive(1'000'000)) got += more;
  BOOST_TEST(full > 0U);
  BOOST_TEST((got == sent));
}

BOOST_AUTO_TEST_CASE(a_peer_that_is_gone_is_told_from_a_full_socket) {
  Pair pair{SOCK_STREAM};
  RecordBuffer records;
  const tls::BioHandle bio{records.make_bio()};
  write(bio.get(), "farewell");
  pair.theirs.reset();
  BOOST_TEST((records.send(pair.ours.get()) == RecordBuffer::Outcome::closed));
}

}  // namespace
