// SPDX-License-Identifier: MIT
// Proves a ledger without the code that wrote it: own parser, own arithmetic, plain reads; SHA-256 alone is shared.
//
//  1. The lines hash to what the last one says.
//  2. sum: before = after + quarantine - inserted, and the edits add up to both numbers.
//  3. The quarantine has the size and the hash it had.
//  4. The spool begins with the octets of after, and each message hashes as recorded.
//  5. With the edits taken back octet by octet it has the hash of before, and each message of before hashes as recorded.
// Runs as: the owner of the mail.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <sstream>
#include <string>
#include <vector>

#include "common/digest/digest.h"
#include "popcheck/work.h"

namespace qpop::popcheck {

namespace {

struct Edit {
  std::uint64_t old_at, removed, new_at, inserted;
};
struct Part {
  std::uint64_t at, size;
  std::string hash;
};
struct Book {
  std::string spool, before_hash, after_hash, quarantine_hash;
  std::uint64_t before = 0, after = 0, quarantine = 0;
  std::array<std::uint64_t, 4> sum{};
  std::vector<Edit> edits;
  std::vector<Part> old_parts, new_parts;
};

std::string sha(digest::Sha256Stream& stream) {
  std::string text;
  for (const auto octet : stream.take()) text += fmt::format("{:02x}", std::to_integer<unsigned>(octet));
  return text;
}

/// Hashes octets as they pass, and the parts that lie in them.
class Meter {
 public:
  explicit Meter(const std::vector<Part>& parts) : parts_(parts) {}
  void pass(std::string_view octets) {
    whole_.add(octets);
    while (!octets.empty()) {
      skip_empty();
      if (next_ == parts_.size()) {
        at_ += octets.size();
        return;
      }
      const auto& part = parts_[next_];
      const std::uint64_t border = at_ < part.at ? part.at : part.at + part.size;
      const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(octets.size(), border - at_));
      if (at_ >= part.at) open_.add(octets.substr(0, take));
      at_ += take;
      octets.remove_prefix(take);
      if (at_ == part.at + part.size && at_ > part.at) close();
    }
  }
  std::string finish() {
    skip_empty();
    if (next_ != parts_.size()) bad_ = true;
    return sha(whole_);
  }
  [[nodiscard]] bool bad() const { return bad_; }
  [[nodiscard]] std::uint64_t size() const { return at_; }

 private:
  void skip_empty() {
    while (next_ < parts_.size() && parts_[next_].size == 0 && parts_[next_].at <= at_) close();
  }
  void close() {
    if (sha(open_) != parts_[next_].hash) bad_ = true;
    ++next_;
  }
  const std::vector<Part>& parts_;
  digest::Sha256Stream whole_, open_;
  std::size_t next_ = 0;
  std::uint64_t at_ = 0;
  bool bad_ = false;
};

bool read_piece(int fd, std::uint64_t at, std::size_t size, std::string& out) {
  out.resize(size);
  for (std::size_t done = 0; done < size;) {
    const auto got = ::pread(fd, out.data() + done, size - done, static_cast<off_t>(at + done));
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return true;
}

template <class Take>
bool pass(int fd, std::uint64_t from, std::uint64_t to, Take&& take) {
  std::string piece;
  while (from < to) {
    if (!read_piece(fd, from, static_cast<std::size_t>(std::min<std::uint64_t>(to - from, 1U << 18U)), piece)) return false;
    take(std::string_view{piece});
    from += piece.size();
  }
  return true;
}

/// One line: a word, then numbers and hashes.
bool parse_line(const std::string& line, Book& book) {
  std::istringstream in{line};
  std::string word;
  in >> word;
  if (word == "spool") return book.spool = line.substr(6), true;
  if (word == "made") return true;
  if (word == "before") return !(in >> book.before >> book.before_hash).fail();
  if (word == "after") return !(in >> book.after >> book.after_hash).fail();
  if (word == "quarantine") return !(in >> book.quarantine >> book.quarantine_hash).fail();
  if (word == "sum") {
    std::array<char, 3> signs{};
    in >> book.sum[0] >> signs[0] >> book.sum[1] >> signs[1] >> book.sum[2] >> signs[2] >> book.sum[3];
    return !in.fail() && signs == std::array{'=', '+', '-'};
  }
  if (word == "edit") {
    auto& edit = book.edits.emplace_back();
    return !(in >> edit.old_at >> edit.removed >> edit.new_at >> edit.inserted).fail();
  }
  if (word != "message") return false;
  auto& old_part = book.old_parts.emplace_back();
  auto& new_part = book.new_parts.emplace_back();
  return !(in >> old_part.at >> old_part.size >> old_part.hash >> new_part.at >> new_part.size >> new_part.hash).fail();
}

std::string parse(int fd, Book& book) {
  struct stat status {};
  std::string text;
  if (::fstat(fd, &status) != 0 || status.st_size > (1LL << 30) || !read_piece(fd, 0, static_cast<std::size_t>(status.st_size), text)) return "the ledger cannot be read";
  const auto last = text.rfind("end ");
  if (last == std::string::npos || !text.starts_with("popcheck-ledger 1\n")) return "not a ledger of version 1";
  digest::Sha256Stream stream;
  stream.add(std::string_view{text}.substr(0, last));
  if (text.substr(last) != "end " + sha(stream) + "\n") return "the ledger was changed, or is not whole";
  for (std::size_t at = text.find('\n') + 1; at < last;) {
    const auto end = text.find('\n', at);
    if (!parse_line(text.substr(at, end - at), book)) return "a line of the ledger is not known: " + text.substr(at, std::min<std::size_t>(end - at, 20));
    at = end + 1;
  }
  return {};
}

std::string check_sums(const Book& book) {
  std::uint64_t removed = 0;
  std::uint64_t inserted = 0;
  std::uint64_t old_at = 0;
  std::uint64_t new_at = 0;
  for (const auto& edit : book.edits) {
    if (edit.old_at < old_at || edit.new_at < new_at || edit.old_at - old_at != edit.new_at - new_at) return "the edits contradict each other";
    old_at = edit.old_at + edit.removed;
    new_at = edit.new_at + edit.inserted;
    removed += edit.removed;
    inserted += edit.inserted;
  }
  if (old_at > book.before || new_at > book.after || book.before - old_at != book.after - new_at) return "the edits do not lead from before to after";
  if (book.sum != std::array<std::uint64_t, 4>{book.before, book.after, removed, inserted} || book.before + inserted != book.after + removed || removed != book.quarantine)
    return "the sum of octets does not fit";
  return {};
}

std::string check_octets(const Book& book, int spool, int quarantine) {
  digest::Sha256Stream stream;
  struct stat status {};
  if (::fstat(quarantine, &status) != 0 || static_cast<std::uint64_t>(status.st_size) != book.quarantine) return "the quarantine is not as long as it was";
  if (!pass(quarantine, 0, book.quarantine, [&](std::string_view octets) { stream.add(octets); }) || sha(stream) != book.quarantine_hash) return "the quarantine was changed";
  Meter after{book.new_parts};
  if (!pass(spool, 0, book.after, [&](std::string_view octets) { after.pass(octets); }) || after.finish() != book.after_hash) {
    Meter old{book.old_parts};
    const bool as_before = pass(spool, 0, book.before, [&](std::string_view octets) { old.pass(octets); }) && old.finish() == book.before_hash;
    return as_before ? "the spool is as it was before the repair: it was not made, or taken back" : "the spool was changed since by other than new mail";
  }
  if (after.bad()) return "a message of after does not hash as recorded";
  Meter before{book.old_parts};
  std::uint64_t at = 0;
  std::uint64_t held = 0;
  for (const auto& edit : book.edits) {
    if (!pass(spool, at, edit.new_at, [&](std::string_view octets) { before.pass(octets); })) return "the spool cannot be read";
    if (!pass(quarantine, held, held + edit.removed, [&](std::string_view octets) { before.pass(octets); })) return "the quarantine cannot be read";
    held += edit.removed;
    at = edit.new_at + edit.inserted;
  }
  if (!pass(spool, at, book.after, [&](std::string_view octets) { before.pass(octets); })) return "the spool cannot be read";
  if (before.size() != book.before || before.finish() != book.before_hash) return "with the edits taken back it is not what stood there before";
  return before.bad() ? "a message of before does not hash as recorded" : "";
}

}  // namespace

Outcome verify_ledger(int ledgers, const std::string& name, int folder, const std::string& spool_name) {
  const auto fail = [](const std::string& why) { return failed(base::Error{base::ErrorKind::malformed, why}); };
  const base::UniqueFd ledger{::openat(ledgers, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (!ledger.valid()) return failed(base::Error::from_errno(errno, "open").at("ledger", name));
  Book book;
  if (auto wrong = parse(ledger.get(), book); !wrong.empty()) return fail(wrong);
  if (auto wrong = check_sums(book); !wrong.empty()) return fail(wrong);
  const auto stem = name.substr(0, name.rfind('.'));
  const base::UniqueFd quarantine{::openat(ledgers, (stem + ".quarantine").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (!quarantine.valid()) return failed(base::Error::from_errno(errno, "open").at("quarantine", stem));
  const base::UniqueFd spool{::openat(folder, spool_name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (!spool.valid()) return failed(base::Error::from_errno(errno, "open").at("spool", spool_name));
  if (auto wrong = check_octets(book, spool.get(), quarantine.get()); !wrong.empty()) return fail(wrong);
  Outcome outcome;
  outcome.message = fmt::format("proven: {} octets = {} + {} in quarantine - {} inserted; {} edits, {} messages, each as recorded before and after", book.sum[0], book.sum[1],
                                book.sum[2], book.sum[3], book.edits.size(), book.new_parts.size());
  return outcome;
}

}  // namespace qpop::popcheck
