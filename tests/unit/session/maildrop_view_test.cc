// SPDX-License-Identifier: MIT
// The session notices every write to the spool that could make it send something wrong.
#include "popper/session/maildrop_view.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <string>

namespace {

using namespace qpop;
using base::ErrorKind;
using session::MaildropView;

/// Two messages of 40 octets: a postmark of 10, content of 29, a blank line.
class Spool {
 public:
  Spool() : fd_(::memfd_create("spool", MFD_CLOEXEC)) {
    for (char letter : {'a', 'b'}) text_ += "From x\nyz\n" + std::string(28, letter) + "\n\n";
    BOOST_REQUIRE(::pwrite(fd_.get(), text_.data(), text_.size(), 0) == 80);
  }
  MaildropView view() {
    std::vector<listing::Record> records(2);
    for (std::size_t i = 0; i < 2; ++i) {
      records[i].offset = 40 * i;
      records[i].octets = 30;
      records[i].head_hash = digest::xxh3_64(std::string_view{text_}.substr(40 * i, 40));
      records[i].content_start = 10;
      records[i].trailer = 1;
      records[i].unique_id_size = 1;
    }
    listing::ListingHeader header;
    header.end = 80;
    struct stat status {};
    BOOST_REQUIRE(::fstat(fd_.get(), &status) == 0);
    header.spool = {status.st_dev, status.st_ino, 80, status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec,
                    status.st_ctim.tv_sec * 1'000'000'000 + status.st_ctim.tv_nsec};
    header.tail_hash = digest::xxh3_64(text_);
    listing::seal_header(header, records);
    base::UniqueFd list{::memfd_create("listing", MFD_CLOEXEC)};
    BOOST_REQUIRE(::write(list.get(), &header, sizeof header) == static_cast<ssize_t>(sizeof header));
    BOOST_REQUIRE(::write(list.get(), records.data(), 192) == 192);
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

}  // namespace
