// SPDX-License-Identifier: MIT
// Digests survive what other mail programs do to a header; unique-ids stay with their messages.
#include "common/mbox/unique_id.h"

#include <boost/test/unit_test.hpp>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "common/mbox/scanner.h"

namespace {

using namespace qpop;
using namespace qpop::mbox;
using listing::Record;

const std::string kFrom = "From ada@example.org Thu Nov 29 23:33:09 1973\n";

std::vector<listing::Record> records_of(const std::string& spool, std::size_t piece = 1 << 20) {
  Scanner scanner;
  for (std::size_t at = 0; at < spool.size(); at += piece)
    BOOST_REQUIRE(scanner.feed(spool.substr(at, piece)).has_value());
  return scanner.finish()->records;
}

digest::Digest16 digest_of(const std::string& message, std::size_t piece = 1 << 20) {
  const auto records = records_of(kFrom + message, piece);
  BOOST_REQUIRE(records.size() == 1);
  return records[0].digest;
}

std::string crlf(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '\n' ? "\r\n" : std::string(1, c);
  return out;
}

BOOST_AUTO_TEST_CASE(fields_that_others_rewrite_do_not_count) {
  const auto want = digest_of("Subject: a\nDate: x\n\nbody\n");
  for (const std::string field :
       {"Status: RO", "X-Status: A", "X-Keywords: a\n b\n\tc", "X-UID: 4", "X-UIDL: abc", "X-IMAP: 1 2",
        "X-IMAPbase: 1 2", "Content-Length: 5", "Lines: 1", "status: O", "STATUS:"}) {
    BOOST_TEST((digest_of("Subject: a\n" + field + "\nDate: x\n\nbody\n") == want), field);
    BOOST_TEST((digest_of(field + "\nSubject: a\nDate: x\n\nbody\n") == want), field);
    BOOST_TEST((digest_of("Subject: a\nDate: x\n" + field + "\n\nbody\n") == want), field);
    BOOST_TEST((digest_of("Subject: a\r\nDate: x\r\n" + crlf(field) + "\r\n\r\nbody\r\n") == want), field);
    for (std::size_t piece = 1; piece < 20; ++piece) {
      BOOST_TEST((digest_of("Subject: a\n" + field + "\nDate: x\n\nbody\n", piece) == want),
                 field << " in pieces of " << piece);
    }
  }
}

BOOST_AUTO_TEST_CASE(everything_else_counts) {
  const auto want = digest_of("Subject: a\n\nbody\n");
  for (const std::string other :
       {"Subject: b\n\nbody\n", "Subject: a\n\nbodx\n", "Subject: a\n\nbody\nx\n", "Subject: a\nStatusx: 1\n\nbody\n",
        "Subject: a\nX-Statu: 1\n\nbody\n", "Subject: a\n folded\n\nbody\n", "Subject: a\n\n\nbody\n",
        "Subject: a\n\nbody\n\n\n", "Subject: a\nbody\n", "Subject: a\n\rx\n\nbody\n"}) {
    BOOST_TEST((digest_of(other) != want), other);
  }
  BOOST_TEST((records_of("From eve@example.org Thu Nov 29 23:33:09 1973\nSubject: a\n\nbody\n")[0].digest != want));
}

BOOST_AUTO_TEST_CASE(line_ends_and_a_missing_last_one_do_not_count) {
  for (const std::string message : {"Subject: a\n\nbody\n", "Subject: a\n", "Subject: a\n\n", "\nbody\n"}) {
    const auto want = digest_of(message);
    const auto records = records_of(crlf(kFrom + message));
    BOOST_TEST((records[0].digest == want));
    if (message != "Subject: a\n\n") BOOST_TEST((digest_of(message.substr(0, message.size() - 1)) == want), message);
    BOOST_TEST((records_of(kFrom + message + "\n" + kFrom)[0].digest == want), message);
  }
}

BOOST_AUTO_TEST_CASE(bodies_around_the_sample_size) {
  for (std::size_t size = Identity::kBodySample - 4; size < Identity::kBodySample + 6; ++size) {
    const std::string message = "a: b\n\n" + std::string(size, 'x');
    const auto want = digest_of(message + "\n");
    BOOST_TEST((digest_of(message) == want), size);
    BOOST_TEST((digest_of(message + "\n\n") == want), size);
    BOOST_TEST((records_of(crlf(kFrom + message + "\n"))[0].digest == want), size);
    BOOST_TEST((records_of(crlf(kFrom + message + "\n\n" + kFrom), 1)[0].digest == want), size);
  }
}

BOOST_AUTO_TEST_CASE(a_huge_header_is_cut_without_regard_to_rewritten_fields) {
  std::string header;
  while (header.size() < 3 * HeaderFilter::kMaxIdentifying) header += "Received: from somewhere by somewhere else\n";
  BOOST_TEST((digest_of(header + "\nx\n") == digest_of("Status: RO\n" + header + "X-UID: 1\n\nx\n")));
}

listing::Record record_of(unsigned message, std::string_view unique_id = {}) {
  listing::Record record;
  record.digest[0] = static_cast<std::byte>(message);
  set_unique_id(record, unique_id);
  return record;
}

BOOST_AUTO_TEST_CASE(unique_ids_are_printable_and_told_apart_by_ordinals) {
  std::vector<listing::Record> records{record_of(1), record_of(2), record_of(1), record_of(1)};
  assign_unique_ids(records, {});
  BOOST_TEST(records[0].unique_id() == "AQAAAAAAAAAAAAAAAAAAAA");
  BOOST_TEST(records[1].unique_id() == "AgAAAAAAAAAAAAAAAAAAAA");
  BOOST_TEST(records[2].unique_id() == "AQAAAAAAAAAAAAAAAAAAAA.2");
  BOOST_TEST(records[3].unique_id() == "AQAAAAAAAAAAAAAAAAAAAA.3");
}

BOOST_AUTO_TEST_CASE(known_unique_ids_stay_and_are_not_given_again) {
  const std::string text = "AQAAAAAAAAAAAAAAAAAAAA";
  const std::vector<listing::Record> known{record_of(1, text + ".2"), record_of(3, "old"), record_of(1, text + ".4")};
  std::vector<listing::Record> records{record_of(3), record_of(1), record_of(1), record_of(1), record_of(2)};
  assign_unique_ids(records, known);
  BOOST_TEST(records[0].unique_id() == "old");
  BOOST_TEST(records[1].unique_id() == text + ".2");
  BOOST_TEST(records[2].unique_id() == text + ".4");
  BOOST_TEST(records[3].unique_id() == text + ".5");
  BOOST_TEST(records[4].unique_id() == "AgAAAAAAAAAAAAAAAAAAAA");
}

BOOST_AUTO_TEST_CASE(what_was_appended_is_named_as_by_the_whole) {
  std::mt19937 random{20261126};
  for (int round = 0; round < 2000; ++round) {
    std::vector<Record> known(random() % 12);
    const auto any_digest = [&](Record& record) { record.digest = {}; record.digest[random() % 2 * 9] = static_cast<std::byte>(random() % 4); };
    for (auto& record : known) any_digest(record);
    assign_unique_ids(known, {});
    // Messages in the middle may have gone since, and some have unique-ids of another make.
    std::erase_if(known, [&](const Record&) { return random() % 4 == 0; });
    for (auto& record : known) {
      if (random() % 6 == 0) set_unique_id(record, "foreign" + std::to_string(&record - known.data()));
    }
    std::vector<Record> records = known;
    records.resize(known.size() + random() % 6);
    for (auto& record : std::span{records}.subspan(known.size())) any_digest(record);
    auto wanted = records;
    assign_unique_ids(wanted, known);
    extend_unique_ids(records, known.size());
    for (std::size_t i = 0; i < records.size(); ++i) BOOST_REQUIRE_EQUAL(records[i].unique_id(), wanted[i].unique_id());
  }
}

}  // namespace
