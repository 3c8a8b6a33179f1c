// SPDX-License-Identifier: MIT
// The scan gives the same records for every cut, on every kernel, and agrees with a plain line-by-line reading.
#include "common/mbox/scanner.h"

#include <algorithm>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <random>

#include "tests/unit/mbox/reference_scan.h"

namespace {

using namespace qpop;
using namespace qpop::mbox;
using namespace std::string_literals;
using test::ReferenceMessage;

const std::string kFrom = "From ada@example.org Thu Nov 29 23:33:09 1973\n";
const std::string kMmdf = "\x01\x01\x01\x01\n";

Peek peek_into(const std::string& spool) {
  return [&spool](std::uint64_t offset, std::span<char> out) -> base::Result<std::size_t> {
    if (offset >= spool.size()) return std::size_t{0};
    return spool.copy(out.data(), out.size(), offset);
  };
}

base::Result<ScanResult> scan(const std::string& spool, const std::vector<std::size_t>& cuts = {},
                              Kernel kernel = Kernel::best) {
  Scanner scanner{{}, peek_into(spool), kernel};
  std::size_t at = 0;
  for (const auto cut : cuts) {
    // A copy of its own, so that a sanitizer sees a step over its end.
    const std::string piece = spool.substr(at, cut - at);
    if (auto fed = scanner.feed(piece); !fed) return fed.error();
    at = cut;
  }
  const std::string rest = spool.substr(at);
  if (auto fed = scanner.feed(rest); !fed) return fed.error();
  return scanner.finish();
}

std::string_view bytes_of(const std::vector<listing::Record>& records) {
  return {reinterpret_cast<const char*>(records.data()), records.size() * sizeof(listing::Record)};
}

bool same(const ScanResult& a, const ScanResult& b) {
  return a.end == b.end && a.format == b.format && bytes_of(a.records) == bytes_of(b.records);
}

std::vector<ReferenceMessage> to_reference(const ScanResult& result) {
  std::vector<ReferenceMessage> out;
  for (std::size_t i = 0; i < result.records.size(); ++i) {
    const auto& record = result.records[i];
    const auto end = i + 1 < result.records.size() ? result.records[i + 1].offset : result.end;
    const auto content = record.offset + record.content_start;
    out.push_back({record.offset, content, record.header_length, end - content - record.trailer, end, record.octets});
  }
  return out;
}

void check_against_reference(const std::string& spool) {
  const auto got = scan(spool);
  const auto want = test::ReferenceScan{spool}.run();
  BOOST_REQUIRE_MESSAGE(got.has_value() == want.has_value(), base::escape_untrusted(spool, 4000));
  if (got) BOOST_REQUIRE_MESSAGE(to_reference(*got) == *want, base::escape_untrusted(spool, 4000));
}

struct Case {
  std::string name, spool;
  std::size_t want_messages;
  friend std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }
};

const std::vector<Case> kCases{
    {"empty", "", 0},
    {"blank lines only", "\n\r\n\n", 0},
    {"one message", kFrom + "Subject: a\n\nbody\n", 1},
    {"two messages", kFrom + "Subject: a\n\nbody\n\n" + kFrom + "Subject: b\n\nbody\n", 2},
    {"leading blank lines", "\n\n" + kFrom + "\nbody\n", 1},
    {"postmark without an empty line before it", kFrom + "\nbody\n" + kFrom + "x\n", 1},
    {"postmark behind the header's empty line", kFrom + "Subject: a\n\n" + kFrom + "Subject: b\n\n", 2},
    {"postmark alone", kFrom, 1},
    {"postmark without line end", kFrom.substr(0, kFrom.size() - 1), 1},
    {"second postmark without line end", kFrom + "\nx\n\n" + kFrom.substr(0, kFrom.size() - 1), 2},
    {"torn second postmark", kFrom + "\nx\n\n" + kFrom.substr(0, 40), 1},
    {"content of one empty line", kFrom + "\n", 1},
    {"several blank lines before a postmark", kFrom + "a: b\n\nx\n\n\n\n" + kFrom, 2},
    {"no last line end", kFrom + "a: b\n\nx", 1},
    {"header without end", kFrom + "a: b", 1},
    {"CR at the very end", kFrom + "a: b\n\nx\r", 1},
    {"CRLF", "From a Thu Nov 29 23:33:09 1973\r\na: b\r\n\r\nx\r\n\r\nFrom a Thu Nov 29 23:33:09 1973\r\na: b\r\n\r\n",
     2},
    {"mixed line ends", kFrom + "a: b\r\n\nx\n\r\n" + kFrom + "c: d\n\r\n\r\n", 2},
    {"blank that is not empty", kFrom + "\nx\n \n" + kFrom, 1},
    {"two CR", kFrom + "\nx\n\r\r\n" + kFrom, 1},
    {"NUL and 8-bit", kFrom + "a: \0\xFF\n\n\0\n\n"s + kFrom, 2},
    {"invalid date", kFrom + "\nx\n\nFrom ada@example.org Thu Nov 39 23:33:09 1973\n\n", 1},
    {"very long line", kFrom + "\n" + std::string(5000, 'F') + "\n\nFrom " + std::string(3000, 'x') + "\n\n" + kFrom,
     2},
    {"MMDF", kMmdf + "a: b\n\nx\n" + kMmdf + kMmdf + "c: d\n\ny\n\n" + kMmdf, 2},
    {"MMDF with postmark", kMmdf + kFrom + "a: b\n\nx\n\n" + kFrom + "\n" + kMmdf, 1},
    {"MMDF, F that is no postmark", kMmdf + "Fax: 1\nFrom: x\n\nx\n" + kMmdf, 1},
    {"MMDF without end", kMmdf + "a: b\n\nx", 1},
    {"MMDF separator alone", kMmdf, 1},
    {"MMDF empty message", kMmdf + kMmdf, 1},
    {"MMDF separator without line end", kMmdf + "a: b\n\x01\x01\x01\x01", 1},
    {"MMDF with CRLF", "\x01\x01\x01\x01\r\na: b\r\n\r\nx\r\n\x01\x01\x01\x01\r\n", 1},
    {"MMDF with lines that resemble a separator", kMmdf + "\x01\n\n\x01\x01\x01\x01\x01\n \x01\x01\x01\x01\n" + kMmdf,
     1},
};

BOOST_DATA_TEST_CASE(finds_messages_at_every_cut, kCases, c) {
  const auto whole = scan(c.spool);
  BOOST_REQUIRE(whole.has_value());
  BOOST_TEST(whole->records.size() == c.want_messages);
  check_against_reference(c.spool);
  for (std::size_t cut = 0; cut <= c.spool.size(); ++cut) {
    const auto got = scan(c.spool, {cut});
    BOOST_REQUIRE(got.has_value());
    BOOST_TEST(same(*got, *whole), "cut at " << cut);
  }
  std::vector<std::size_t> all(c.spool.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i + 1;
  BOOST_TEST(same(*scan(c.spool, all), *whole), "octet by octet");
  for (const auto kernel : {Kernel::avx2, Kernel::sse2, Kernel::portable}) BOOST_TEST(same(*scan(c.spool, {}, kernel), *whole));
}

struct Bad {
  std::string name, spool, want_detail;
  friend std::ostream& operator<<(std::ostream& out, const Bad& c) { return out << c.name; }
};

const std::vector<Bad> kBad{
    {"text", "hello\n", "octet 0: neither"},
    {"text behind blank lines", "\n\r\nhello\n", "octet 3: neither"},
    {"lone CR", "\rFrom", "octet 0: neither"},
    {"CR at the end", "\n\r", "octet 1: neither"},
    {"F but no postmark", "\nFrom me\n" + kFrom, "octet 1: neither"},
    {"long line without end", "From " + std::string(5000, 'x'), "octet 0: neither"},
    {"MMDF, not a separator", "\x01\x01\n", "octet 0: not an MMDF separator"},
    {"MMDF, text between", kMmdf + "x\n" + kMmdf + "y\n", "octet 12: not an MMDF separator between"},
    {"MMDF, blank line between", kMmdf + kMmdf + "\n", "octet 10: not an MMDF separator between"},
};

BOOST_DATA_TEST_CASE(refuses_what_is_no_mailbox_and_says_where, kBad, c) {
  for (std::size_t cut = 0; cut <= std::min<std::size_t>(c.spool.size(), 40); ++cut) {
    const auto got = scan(c.spool, {cut});
    BOOST_REQUIRE(!got.has_value());
    BOOST_TEST((got.error().kind() == base::ErrorKind::malformed));
    BOOST_TEST(got.error().detail().starts_with(c.want_detail), got.error().detail());
  }
}

std::string with_length(std::size_t value, const std::string& body) {
  return kFrom + "Content-Length: " + std::to_string(value) + "\n\n" + body;
}

BOOST_AUTO_TEST_CASE(content_length_hides_postmarks_when_it_lands_on_a_boundary_or_the_end) {
  const std::string body = "x\n\n" + kFrom + "inner: 1\n\ny\n";
  const std::string next = kFrom + "b: c\n\nz\n";
  const auto count = [](const std::string& spool) {
    check_against_reference(spool);
    return scan(spool)->records.size();
  };
  BOOST_TEST(count(with_length(body.size(), body)) == 1U);
  BOOST_TEST(count(with_length(body.size(), body) + "\n") == 1U);
  BOOST_TEST(count(with_length(body.size(), body) + "\n" + next) == 2U);
  BOOST_TEST(count(with_length(body.size() + 1, body) + "\n" + next) == 2U);
  BOOST_TEST(count(with_length(body.size() - 1, body) + "\n" + next) == 3U);
  BOOST_TEST(count(with_length(body.size() + 2, body) + "\n" + next) == 3U);
  BOOST_TEST(count(with_length(99999, body)) == 2U);
  BOOST_TEST(count(with_length(18446744073709551615U, body)) == 2U);
  BOOST_TEST(count(kFrom + "Content-Length: " + std::to_string(body.size()) + "\nContent-length: 7\n\n" + body) == 2U);
  BOOST_TEST(count(kFrom + "Content-Length: 12x\n\n" + body) == 2U);
  const std::string spool = with_length(body.size(), body);
  Scanner blind;
  BOOST_REQUIRE(blind.feed(spool).has_value());
  BOOST_TEST(blind.finish()->records.size() == 2U);
}

BOOST_AUTO_TEST_CASE(a_failing_peek_fails_the_scan) {
  const std::string spool = with_length(60, "x\n\n" + kFrom + "y\n");
  Scanner scanner{{}, [](std::uint64_t, std::span<char>) -> base::Result<std::size_t> {
                    return base::Error::from_errno(EIO, "pread");
                  }};
  BOOST_TEST(!scanner.feed(spool).has_value());
}

/// A spool of random pieces that are likely to matter.
std::string random_spool(std::mt19937& random, std::size_t pieces) {
  static const std::vector<std::string> kPieces{kFrom,
                                                kFrom,
                                                "\n",
                                                "\n",
                                                "\n\n",
                                                "\r\n",
                                                "\r\n\r\n",
                                                "\r",
                                                "Subject: x\n",
                                                "Status: RO\n",
                                                "Content-Length: 60\n",
                                                "Content-Length: 48\r\n",
                                                "F",
                                                "From ",
                                                "body text\n",
                                                "\x01\x01\x01\x01\n",
                                                "\x01\x01\x01\x01\r\n",
                                                "\x01",
                                                " folded\n",
                                                std::string(70, 'x'),
                                                std::string(1100, 'y') + "\n",
                                                std::string("\0\xFF", 2),
                                                "X-UIDL: abc\n",
                                                "From b Wed Dec  2 05:53 1992 PST remote from h\r\n"};
  std::string spool = random() % 4 == 0 ? kMmdf : random() % 8 == 0 ? "\n" + kFrom : kFrom;
  for (std::size_t i = 0; i < pieces; ++i) spool += kPieces[random() % kPieces.size()];
  return spool;
}

BOOST_AUTO_TEST_CASE(random_spools_agree_with_the_reference_and_with_every_cut) {
  std::mt19937 random{20240229};
  for (int round = 0; round < 3000; ++round) {
    const auto spool = random_spool(random, random() % 40);
    check_against_reference(spool);
    const auto whole = scan(spool);
    if (!whole) continue;
    std::vector<std::size_t> cuts(random() % 12);
    for (auto& cut : cuts) cut = random() % (spool.size() + 1);
    std::ranges::sort(cuts);
    const auto kernel = std::array{Kernel::best, Kernel::avx2, Kernel::sse2, Kernel::portable}[random() % 4];
    const auto got = scan(spool, cuts, kernel);
    BOOST_REQUIRE(got.has_value());
    BOOST_REQUIRE_MESSAGE(same(*got, *whole), base::escape_untrusted(spool, 4000));
  }
}

BOOST_AUTO_TEST_CASE(a_large_spool_gives_the_same_records_in_pieces) {
  std::mt19937 random{7};
  std::string spool;
  while (spool.size() < 3'000'000)
    spool += kFrom + "Subject: x\n\n" + random_spool(random, 30).substr(kFrom.size()) + "\n\n";
  const auto whole = scan(spool);
  BOOST_REQUIRE(whole.has_value());
  check_against_reference(spool);
  for (const std::size_t piece : {63U, 64U, 4096U, 65536U, 262144U}) {
    std::vector<std::size_t> cuts;
    for (std::size_t at = piece; at < spool.size(); at += piece) cuts.push_back(at);
    BOOST_TEST(same(*scan(spool, cuts), *whole), "pieces of " << piece);
  }
}

BOOST_AUTO_TEST_CASE(appended_mail_can_be_scanned_alone) {
  for (const auto& [one, two] : {std::pair{kFrom + "a: b\n\nx\n\n", kFrom + "c: d\n\ny\n\n" + kFrom},
                                 std::pair{kMmdf + "a: b\n\nx\n" + kMmdf, kMmdf + "c: d\n\ny\n" + kMmdf}}) {
    const std::string spool = one + two;
    const auto whole = scan(spool);
    Scanner tail{{.offset = one.size(), .format = whole->format}, peek_into(spool)};
    BOOST_REQUIRE(tail.feed(two).has_value());
    const auto got = tail.finish();
    BOOST_REQUIRE(got.has_value());
    auto joined = scan(one)->records;
    joined.insert(joined.end(), got->records.begin(), got->records.end());
    BOOST_TEST(same({joined, got->format, got->end}, *whole));
  }
}

BOOST_AUTO_TEST_CASE(head_hash_covers_the_start_of_the_unit) {
  const std::string one = kFrom + "a: b\n\nx\n\n";
  const auto short_unit = scan(one + kFrom + "c: d\n\n" + std::string(400, 'z') + "\n");
  BOOST_TEST(short_unit->records[0].head_hash == digest::xxh3_64(one));
  const std::string two = kFrom + "c: d\n\n" + std::string(400, 'z') + "\n";
  BOOST_TEST(short_unit->records[1].head_hash == digest::xxh3_64(std::string_view{two}.substr(0, listing::kHeadSpan)));
  const std::string mmdf = kMmdf + "a: b\n\nx\n" + kMmdf;
  BOOST_TEST(scan(mmdf)->records[0].head_hash == digest::xxh3_64(mmdf));
}

}  // namespace
