// SPDX-License-Identifier: MIT
// A scan listing is trusted only whole and unharmed.
#include "common/listing/listing.h"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "common/base/unique_fd.h"

namespace {

using namespace qpop::listing;
using qpop::base::UniqueFd;

Record record_at(std::uint64_t offset, std::uint64_t octets) {
  Record record;
  record.offset = offset;
  record.octets = octets;
  record.content_start = 10;
  record.header_length = 20;
  record.trailer = 1;
  record.unique_id_size = 2;
  record.unique_id_bytes[0] = 'u';
  record.unique_id_bytes[1] = static_cast<char>('0' + offset % 10);
  return record;
}

UniqueFd listing_file(std::vector<Record> records, std::uint64_t end) {
  ListingHeader header;
  header.end = end;
  seal_header(header, records);
  UniqueFd fd{::memfd_create("listing", MFD_CLOEXEC)};
  BOOST_REQUIRE(::write(fd.get(), &header, sizeof header) == static_cast<ssize_t>(sizeof header));
  const auto size = records.size() * sizeof(Record);
  BOOST_REQUIRE(::write(fd.get(), records.data(), size) == static_cast<ssize_t>(size));
  return fd;
}

BOOST_AUTO_TEST_CASE(works_out_where_a_message_lies) {
  const auto fd = listing_file({record_at(0, 100), record_at(120, 70)}, 200);
  const auto reader = ListingReader::open(fd.get());
  BOOST_REQUIRE(reader.has_value());
  BOOST_TEST(reader->header().total_octets == 170U);
  const auto last = reader->message(1);
  BOOST_REQUIRE(last.has_value());
  BOOST_TEST(last->content_offset == 130U);
  BOOST_TEST(last->content_length == 69U);
  BOOST_TEST(last->record.unique_id() == "u0");
  BOOST_TEST(!reader->message(2).has_value());
  BOOST_TEST(reader->all_records().has_value());
}

BOOST_AUTO_TEST_CASE(every_flipped_octet_is_noticed) {
  const auto fd = listing_file({record_at(0, 100), record_at(120, 70)}, 200);
  const auto size = ::lseek(fd.get(), 0, SEEK_END);
  for (off_t at = 0; at < size; ++at) {
    char octet = 0;
    BOOST_REQUIRE(::pread(fd.get(), &octet, 1, at) == 1);
    const char flipped = static_cast<char>(octet ^ 0x40);
    BOOST_REQUIRE(::pwrite(fd.get(), &flipped, 1, at) == 1);
    const auto reader = ListingReader::open(fd.get());
    BOOST_TEST((!reader || !reader->all_records()), "octet " << at);
    BOOST_REQUIRE(::pwrite(fd.get(), &octet, 1, at) == 1);
  }
}

BOOST_AUTO_TEST_CASE(a_forged_length_of_a_unique_id_is_refused) {
  auto record = record_at(0, 100);
  record.unique_id_size = 255;
  BOOST_TEST(record.unique_id().size() == kMaxUniqueId);
  const auto fd = listing_file({record}, 120);
  const auto reader = ListingReader::open(fd.get());
  BOOST_REQUIRE(reader.has_value());
  std::vector<Record> out(1);
  BOOST_TEST(!reader->records(0, out).has_value());
  BOOST_TEST(!reader->message(0).has_value());
}

BOOST_AUTO_TEST_CASE(refuses_a_cut_or_lengthened_file_and_contradictory_offsets) {
  auto fd = listing_file({record_at(0, 100), record_at(120, 70)}, 200);
  BOOST_REQUIRE(::ftruncate(fd.get(), 128 + 96) == 0);
  BOOST_TEST(!ListingReader::open(fd.get()).has_value());
  fd = listing_file({record_at(120, 100), record_at(0, 70)}, 200);
  const auto backwards = ListingReader::open(fd.get());
  BOOST_REQUIRE(backwards.has_value());
  BOOST_TEST(!backwards->message(0).has_value());
  BOOST_TEST(!backwards->all_records().has_value());
  fd = listing_file({record_at(0, 100)}, 25);
  BOOST_TEST(!ListingReader::open(fd.get())->message(0).has_value());
}

}  // namespace
