// SPDX-License-Identifier: MIT
// A scan with help finds what a scan by one process finds, whatever stands in the middle.
#include "common/spool/split_scan.h"

#include <boost/test/unit_test.hpp>
#include <functional>

#include "tests/fault/maildrop_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using namespace qpop::test;
using base::Error;
using base::ErrorKind;
using listing::Record;

/// Does its part when the result is wanted.
class Helper final : public ScanHelper {
 public:
  Helper(FileSystem& fs, MaildropPaths paths) : fs_(fs), paths_(std::move(paths)) {}
  bool begin(const ScanPart& part) override {
    part_ = part;
    ++begun;
    return can_begin;
  }
  base::Result<std::vector<Record>> finish(const std::function<void()>& meanwhile) override {
    ++finished;
    meanwhile();
    if (dies) return Error{ErrorKind::io, "it has died"};
    return scan_part(fs_, paths_, part_, [] { return true; });
  }
  void dismiss() override { ++dismissed; }
  unsigned begun = 0;
  unsigned finished = 0;
  unsigned dismissed = 0;
  bool can_begin = true;
  bool dies = false;

 private:
  FileSystem& fs_;
  MaildropPaths paths_;
  ScanPart part_;
};

constexpr std::size_t kHalf = kWorthHelp / 2 + 1024 * 1024;

/// Messages of about 60 KB, `octets` of them at least.
std::string filler(std::size_t octets, unsigned number = 1000) {
  static const std::string body = [] {
    std::string text;
    while (text.size() < 60'000) text += "some text of a message that is longer than others\n";
    return text;
  }();
  std::string out;
  while (out.size() < octets) out += kPostmark + "Message-Id: <" + std::to_string(number++) + "@example.org>\n\n" + body + "\n";
  return out;
}

/// A message whose Content-Length is right, with postmarks in its body.
std::string with_length(std::size_t octets) {
  std::string body;
  while (body.size() < octets) body += "text\n\n" + kPostmark + "Subject: not a message\n\n";
  body += "end\n";
  return kPostmark + "Subject: quoted\nContent-Length: " + std::to_string(body.size()) + "\n\n" + body + "\n";
}

class Split {
 public:
  explicit Split(const std::string& spool, mbox::ScanStart start = {}) : start_(start), end_(spool.size()), helper(process_.fs, drop_.paths()) {
    drop_.write_spool(spool);
  }

  /// Scans without and with help, and compares. Result: number of messages.
  std::size_t compare() {
    const auto alone = scan(nullptr);
    const auto both = scan(&helper);
    BOOST_REQUIRE(alone.has_value() == both.has_value());
    if (!alone) {
      BOOST_TEST(alone.error().message() == both.error().message());
      return 0;
    }
    BOOST_TEST((alone->format == both->format));
    BOOST_TEST(alone->end == both->end);
    BOOST_REQUIRE(alone->records.size() == both->records.size());
    BOOST_TEST((listing::hash_records(alone->records) == listing::hash_records(both->records)));
    return alone->records.size();
  }

 private:
  base::Result<mbox::ScanResult> scan(ScanHelper* help) {
    Warnings warnings;
    auto context = process_.context();
    context.scan_helper = help;
    auto lock = MailLock::acquire(context, drop_.paths(), {}, 1000, warnings);
    BOOST_REQUIRE(lock.has_value());
    return scan_spool(context, *lock, start_, end_);
  }

  MaildropFixture drop_;
  test::Process process_{drop_};
  mbox::ScanStart start_;
  std::uint64_t end_;

 public:
  Helper helper;
};

BOOST_AUTO_TEST_CASE(halves_make_the_whole) {
  Split split{filler(2 * kHalf)};
  BOOST_TEST(split.compare() > 500U);
  BOOST_TEST(split.helper.finished == 1U);
}

BOOST_AUTO_TEST_CASE(many_short_messages_may_begin_where_the_halves_meet) {
  std::string text = filler(kHalf);
  std::string rest = filler(kHalf, 5000);
  std::string small;
  for (unsigned i = 0; i < 2000; ++i) small += mbox_message(i, 0);
  text.append(small).append(small).append(rest);
  Split split{text};
  BOOST_TEST(split.compare() > 4000U);
  BOOST_TEST(split.helper.finished == 1U);
}

BOOST_AUTO_TEST_CASE(line_ends_may_be_crlf) {
  std::string text;
  for (const char c : filler(2 * kHalf)) {
    if (c == '\n') text += '\r';
    text += c;
  }
  Split split{text};
  BOOST_TEST(split.compare() > 500U);
  BOOST_TEST(split.helper.finished == 1U);
}

BOOST_AUTO_TEST_CASE(a_postmark_inside_an_announced_length_is_no_meeting_place) {
  Split split{filler(kHalf) + with_length(1'000'000) + filler(kHalf, 5000)};
  BOOST_TEST(split.compare() > 500U);
  BOOST_TEST(split.helper.begun == 1U);
  BOOST_TEST(split.helper.finished == 0U);  // what it found is of no use
  BOOST_TEST(split.helper.dismissed == 1U);
}

BOOST_AUTO_TEST_CASE(whoever_has_begun_is_dismissed) {
  Split whole{filler(2 * kHalf)};
  BOOST_TEST(whole.compare() > 500U);
  BOOST_TEST(whole.helper.dismissed == 1U);
  Split malformed{"Not a postmark\n" + filler(2 * kHalf)};
  BOOST_TEST(malformed.compare() == 0U);
  BOOST_TEST(malformed.helper.begun == 1U);
  BOOST_TEST(malformed.helper.dismissed == 1U);
}

BOOST_AUTO_TEST_CASE(a_message_without_a_boundary_is_not_cut) {
  std::string large = kPostmark + "Subject: large\n\n";
  while (large.size() < 10'000'000) large += "a line\n\nFrom here on\n";
  Split split{filler(kHalf - 5'000'000) + large + "\n" + filler(kHalf - 5'000'000, 5000)};
  BOOST_TEST(split.compare() > 400U);
  BOOST_TEST(split.helper.begun == 0U);
}

BOOST_AUTO_TEST_CASE(lines_that_resemble_postmarks_are_not_looked_at_without_end) {
  const auto with_lines = [](unsigned lines) {
    std::string message = kPostmark + "Subject: large\n\n" + std::string(1'000'000, 'x') + "\n";
    for (unsigned i = 0; i < lines; ++i) message += "\nFrom here on\n";
    return filler(kHalf - 500'000) + message + std::string(1'000'000, 'x') + "\n\n" + filler(kHalf - 500'000, 5000);
  };
  Split few{with_lines(900)};
  BOOST_TEST(few.compare() > 400U);
  BOOST_TEST(few.helper.finished == 1U);
  Split many{with_lines(10'000)};
  BOOST_TEST(many.compare() > 400U);
  BOOST_TEST(many.helper.begun == 0U);
}

BOOST_AUTO_TEST_CASE(a_helper_that_fails_is_done_without) {
  Split split{filler(2 * kHalf)};
  split.helper.dies = true;
  BOOST_TEST(split.compare() > 500U);
  BOOST_TEST(split.helper.finished == 1U);
  split.helper.can_begin = false;
  BOOST_TEST(split.compare() > 500U);
  BOOST_TEST(split.helper.finished == 1U);
}

BOOST_AUTO_TEST_CASE(mail_behind_what_is_known_is_split_too) {
  const auto known = filler(100'000);
  Split split{known + filler(2 * kHalf, 5000), {.offset = known.size(), .format = listing::SpoolFormat::mbox}};
  BOOST_TEST(split.compare() > 500U);
  BOOST_TEST(split.helper.finished == 1U);
}

BOOST_AUTO_TEST_CASE(small_spools_and_mmdf_are_not_split) {
  Split small{filler(100'000)};
  BOOST_TEST(small.compare() == 2U);
  BOOST_TEST(small.helper.begun == 0U);
  std::string text;
  while (text.size() < 2 * kHalf) text += kSeparator + filler(1) + kSeparator;
  Split mmdf{text};
  BOOST_TEST(mmdf.compare() > 500U);
  BOOST_TEST(mmdf.helper.begun == 0U);
}

BOOST_AUTO_TEST_CASE(a_helper_reads_no_other_file) {
  MaildropFixture drop;
  test::Process process{drop};
  drop.write_spool(filler(1));
  const auto found = scan_part(process.fs, drop.paths(), {.device = 1, .inode = 1, .offset = 0, .end = 10}, [] { return true; });
  BOOST_REQUIRE(!found);
  BOOST_TEST((found.error().kind() == ErrorKind::changed));
}

BOOST_AUTO_TEST_CASE(a_helper_that_is_not_wanted_stops) {
  MaildropFixture drop;
  test::Process process{drop};
  const auto text = filler(1'000'000);
  drop.write_spool(text);
  const auto status = process.fs.status_at(drop.spool_folder(), "ada");
  BOOST_REQUIRE(status.has_value());
  const ScanPart all{.device = status->identity.device, .inode = status->identity.inode, .offset = 0, .end = text.size()};
  BOOST_TEST(scan_part(process.fs, drop.paths(), all, [] { return true; }).has_value());
  unsigned asked = 0;
  BOOST_TEST(!scan_part(process.fs, drop.paths(), all, [&] { return ++asked < 2; }).has_value());
  BOOST_TEST(asked == 2U);
}

BOOST_AUTO_TEST_CASE(help_is_wanted_where_much_is_unknown) {
  MaildropFixture drop;
  test::Process process{drop};
  BOOST_TEST(!wants_scan_helper(process.fs, drop.paths()));
  drop.write_spool(filler(100'000));
  BOOST_TEST(!wants_scan_helper(process.fs, drop.paths()));
  const auto large = filler(kWorthHelp);
  drop.write_spool(large);
  BOOST_TEST(wants_scan_helper(process.fs, drop.paths()));
  BOOST_REQUIRE(process.open().has_value());
  BOOST_TEST(!wants_scan_helper(process.fs, drop.paths()));
  drop.append_spool(mbox_message(1));
  BOOST_TEST(!wants_scan_helper(process.fs, drop.paths()));
  drop.append_spool(large);
  BOOST_TEST(wants_scan_helper(process.fs, drop.paths()));
}

}  // namespace
