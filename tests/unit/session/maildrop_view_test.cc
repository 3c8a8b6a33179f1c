// SPDX-License-Identifier: MIT
// The session notices every write to the spool that could make it send something wrong.
#include "popper/session/maildrop_view.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <string>

namespace {

using namespace qpop;
using base::ErrorKind;
using session::MaildropView;

/// Two messages of 40 octets: a postmark of 10, content of 29, a blank line.
class Spool {
 public:
  explicit Spool(const std::string& letters = "ab") : fd_(::memfd_create("spool", MFD_CLOEXEC)) {
    for (const char letter : letters) text_ += "From x\nyz\n" + std::string(28, letter) + "\n\n";
    BOOST_REQUIRE(::pwrite(fd_.get(), text_.data(), text_.size(), 0) == static_cast<ssize_t>(text_.size()));
  }
  MaildropView view() {
    std::vector<listing::Record> records(text_.size() / 40);
    for (std::size_t i = 0; i < records.size(); ++i) {
      records[i].offset = 40 * i;
      records[i].octets = 30;
      records[i].head_hash = digest::xxh3_64(std::string_view{text_}.substr(40 * i, 40));
      records[i].content_start = 10;
      records[i].trailer = 1;
      records[i].unique_id_size = 1;
    }
    listing::ListingHeader header;
    header.end = text_.size();
    struct stat status {};
    BOOST_REQUIRE(::fstat(fd_.get(), &status) == 0);
    header.spool = {status.st_dev, status.st_ino, text_.size(), status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec,
                    status.st_ctim.tv_sec * 1'000'000'000 + status.st_ctim.tv_nsec};
    header.tail_hash = digest::xxh3_64(text_);
    listing::seal_header(header, records);
    base::UniqueFd list{::memfd_create("listing", MFD_CLOEXEC)};
    BOOST_REQUIRE(::write(list.get(), &header, sizeof header) == static_cast<ssize_t>(sizeof header));
    BOOST_REQUIRE(::write(list.get(), records.data(), records.size() * 96) == static_cast<ssize_t>(records.size() * 96));
    auto view = MaildropView::open(base::UniqueFd{::memfd_create("lock", 0)}, std::move(list), base::UniqueFd{::dup(fd_.get())});
    BOOST_REQUIRE(view.has_value());
    return std::move(*view);
  }
  void write(const std::string& bytes, off_t offset) {
    ::usleep(20'000);  // time stamps of the kernel move in steps
    BOOST_REQUIRE(::pwrite(fd_.get(), bytes.data(), bytes.size(), offset) == static_cast<ssize_t>(bytes.size()));
  }
  void truncate(off_t size) {
    ::usleep(20'000);
    BOOST_REQUIRE(::ftruncate(fd_.get(), size) == 0);
  }
  static base::Result<std::string> read(MaildropView& view, std::uint32_t index) {
    std::array<char, 64> out{};
    const auto message = view.message(index);
    BOOST_REQUIRE(message.has_value());
    const auto got = view.read(*message, 0, out);
    if (!got) return got.error();
    return std::string{out.data(), *got};
  }

 private:
  base::UniqueFd fd_;
  std::string text_;
};

BOOST_AUTO_TEST_CASE(reads_exactly_the_content) {
  Spool spool;
  auto view = spool.view();
  BOOST_TEST(*Spool::read(view, 1) == std::string(28, 'b') + "\n");
}

BOOST_AUTO_TEST_CASE(mail_behind_the_end_is_harmless) {
  Spool spool;
  auto view = spool.view();
  spool.write("From new mail\n", 80);
  BOOST_TEST(*Spool::read(view, 0) == std::string(28, 'a') + "\n");
  BOOST_TEST(*Spool::read(view, 1) == std::string(28, 'b') + "\n");
}

BOOST_AUTO_TEST_CASE(anything_else_is_an_error) {
  const auto changed = [](const auto& change) {
    Spool spool;
    auto view = spool.view();
    BOOST_REQUIRE(Spool::read(view, 0).has_value());
    change(spool);
    const auto got = Spool::read(view, 0);
    return !got && got.error().kind() == ErrorKind::changed;
  };
  BOOST_TEST(changed([](Spool& spool) { spool.truncate(60); }));
  BOOST_TEST(changed([](Spool& spool) { spool.truncate(0); }));
  BOOST_TEST(changed([](Spool& spool) { spool.write("X", 15); }));
  BOOST_TEST(changed([](Spool& spool) { spool.write("X", 75); }));
  BOOST_TEST(changed([](Spool& spool) {
    spool.truncate(0);
    spool.write(std::string(200, 'z'), 0);
  }));
}

/// Octets that this process has read from files so far.
std::uint64_t octets_read() {
  std::ifstream io{"/proc/self/io"};
  std::string word;
  std::uint64_t octets = 0;
  BOOST_REQUIRE((io >> word >> octets && word == "rchar:"));
  return octets;
}

/// Octets of files that it costs to read one message.
std::uint64_t cost(MaildropView& view, std::uint32_t index, char letter) {
  const auto own = octets_read();
  const auto before = octets_read();
  const auto got = Spool::read(view, index);
  const auto after = octets_read();
  BOOST_TEST((got && *got == std::string(28, letter) + "\n"));
  return after - before - (before - own);
}

BOOST_AUTO_TEST_CASE(what_is_retrieved_in_turn_is_read_ahead) {
  Spool spool{"abcd"};
  auto view = spool.view();
  view.note_retrieved(0);
  view.read_ahead();
  BOOST_TEST(cost(view, 1, 'b') > 29U);  // one message is no turn
  view.note_retrieved(1);
  view.read_ahead();
  BOOST_TEST(cost(view, 2, 'c') < 29U);
  BOOST_TEST(cost(view, 1, 'b') > 29U);
  BOOST_TEST(cost(view, 3, 'd') > 29U);
  view.note_retrieved(2);
  view.read_ahead();
  BOOST_TEST(cost(view, 3, 'd') < 29U);
  view.note_retrieved(3);
  view.read_ahead();  // there is no more
}

BOOST_AUTO_TEST_CASE(what_was_read_ahead_is_compared_when_it_is_asked_for) {
  Spool spool{"abc"};
  auto view = spool.view();
  view.note_retrieved(0);
  view.note_retrieved(1);
  view.read_ahead();
  spool.write("From new mail\n", 120);
  BOOST_TEST(*Spool::read(view, 2) == std::string(28, 'c') + "\n");
  spool.write("X", 95);
  const auto got = Spool::read(view, 2);
  BOOST_TEST((!got && got.error().kind() == ErrorKind::changed));
}

BOOST_AUTO_TEST_CASE(deleted_messages_are_not_read_ahead) {
  Spool spool{"abc"};
  auto view = spool.view();
  view.note_retrieved(0);
  view.note_retrieved(1);
  BOOST_TEST(view.mark_deleted(2).has_value());
  view.read_ahead();
  view.reset();
  BOOST_TEST(cost(view, 2, 'c') > 29U);
}

BOOST_AUTO_TEST_CASE(counts_follow_marks_and_reset) {
  Spool spool;
  auto view = spool.view();
  BOOST_TEST(view.mark_deleted(1).has_value());
  BOOST_TEST(view.left_count() == 1U);
  BOOST_TEST(view.left_octets() == 30U);
  BOOST_TEST(view.is_deleted(1));
  BOOST_TEST(!view.is_deleted(0));
  BOOST_TEST(view.last_accessed() == 2U);
  view.reset();
  BOOST_TEST(view.left_octets() == 60U);
  BOOST_TEST(!view.is_deleted(1));
}

base::UniqueFd hidden_file(const listing::HiddenMessages& hidden) {
  base::UniqueFd fd{::memfd_create("hidden", MFD_CLOEXEC)};
  const auto bytes = listing::encode_hidden(hidden);
  BOOST_REQUIRE(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  return fd;
}

BOOST_AUTO_TEST_CASE(hidden_messages_have_no_number_and_no_octets) {
  std::string letters;
  for (unsigned i = 0; i < 200; ++i) letters += static_cast<char>('a' + i % 26);
  for (unsigned pattern = 0; pattern < 64; ++pattern) {
    Spool spool{letters};
    auto view = spool.view();
    listing::HiddenMessages hidden;
    std::vector<std::uint32_t> visible;
    for (std::uint32_t i = 0; i < 200; ++i) (((pattern >> (i * 7 % 6)) & 1U) != 0 ? hidden.numbers : visible).push_back(i);
    hidden.octets = 30 * hidden.numbers.size();
    const auto file = hidden_file(hidden);
    BOOST_REQUIRE(view.hide(file.get()).has_value());
    BOOST_TEST(view.count() == visible.size());
    BOOST_TEST(view.left_octets() == 30 * visible.size());
    BOOST_TEST(view.hidden_count() == hidden.numbers.size());
    std::vector<listing::Record> records(visible.size());
    BOOST_REQUIRE(view.records(0, records).has_value());
    for (std::uint32_t i = 0; i < visible.size(); ++i) {
      BOOST_TEST(view.message(i)->unit_offset == 40 * visible[i]);
      BOOST_TEST(records[i].offset == 40 * visible[i]);
      std::array<listing::Record, 1> one;
      BOOST_REQUIRE(view.records(i, one).has_value());
      BOOST_TEST(one[0].offset == 40 * visible[i]);
    }
    if (visible.empty()) continue;
    const auto last = static_cast<std::uint32_t>(visible.size() - 1);
    BOOST_TEST(*Spool::read(view, last) == std::string(28, letters[visible[last]]) + "\n");
    BOOST_REQUIRE(view.mark_deleted(last).has_value());
    view.note_retrieved(last);
    for (std::uint32_t i = 0; i < 200; ++i) {
      const bool marked = i == visible[last];
      BOOST_TEST((((unsigned{view.deleted_bits()[i / 8]} >> (i % 8)) & 1U) != 0) == marked);
      BOOST_TEST((((unsigned{view.retrieved_bits()[i / 8]} >> (i % 8)) & 1U) != 0) == marked);
    }
    std::vector<listing::Record> more(visible.size() + 1);
    BOOST_TEST(!view.records(0, more).has_value());
  }
}

BOOST_AUTO_TEST_CASE(the_message_of_a_mailer_is_hidden_beside_deleted_ones) {
  Spool spool{"abcd"};
  auto view = spool.view();
  const auto file = hidden_file({.numbers = {2}, .octets = 30});
  BOOST_REQUIRE(view.hide(file.get()).has_value());
  view.hide_first();
  BOOST_TEST(view.count() == 2U);
  BOOST_TEST(view.left_octets() == 60U);
  BOOST_TEST(view.message(0)->unit_offset == 40U);
  BOOST_TEST(view.message(1)->unit_offset == 120U);
}

BOOST_AUTO_TEST_CASE(hidden_messages_that_do_not_fit_are_refused) {
  Spool spool;
  auto view = spool.view();
  const auto refused = [&](const listing::HiddenMessages& hidden) { return !view.hide(hidden_file(hidden).get()).has_value(); };
  BOOST_TEST(refused({.numbers = {2}, .octets = 0}));
  BOOST_TEST(refused({.numbers = {1, 0}, .octets = 0}));
  BOOST_TEST(refused({.numbers = {1, 1}, .octets = 0}));
  BOOST_TEST(refused({.numbers = {0, 1, 2}, .octets = 0}));
  BOOST_TEST(refused({.numbers = {1}, .octets = 61}));
  BOOST_TEST(view.count() == 2U);
  auto bytes = listing::encode_hidden({.numbers = {1}, .octets = 30});
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    if (at >= 16 && at < 24) continue;  // the sum of octets: bounded, not proven
    auto damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    base::UniqueFd fd{::memfd_create("hidden", MFD_CLOEXEC)};
    BOOST_REQUIRE(::write(fd.get(), damaged.data(), damaged.size()) == static_cast<ssize_t>(damaged.size()));
    BOOST_TEST(!view.hide(fd.get()).has_value(), "octet " << at);
  }
}

}  // namespace
