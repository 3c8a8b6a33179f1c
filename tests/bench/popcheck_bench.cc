// SPDX-License-Identifier: MIT
// Both readings of popcheck over a clean spool, against memchr over the same octets, read alike from the page cache; and the
// memory that a check takes. Exit code 1 when a check takes more than three times as long, or more than 32 MiB.
// Usage: popcheck_bench [MIB [OCTETS-OF-A-MESSAGE [FOLDER [ROUNDS]]]]
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/check/reading.h"

namespace {

using namespace qpop;

std::string make_message(std::size_t number, std::size_t octets) {
  std::string text = fmt::format(
      "From sender{0}@example.org Thu Nov 28 23:33:09 2024\nReturn-Path: <sender{0}@example.org>\n"
      "Received: from relay.example.org (relay.example.org [192.0.2.7])\n\tby mail.example.net (Postfix) with ESMTPS id {0:012X}\n"
      "\tfor <ada@example.net>; Thu, 28 Nov 2024 23:33:09 +0100\nMessage-Id: <{0}.generated@example.org>\n"
      "Date: Thu, 28 Nov 2024 23:33:08 +0100\nFrom: Sender <sender{0}@example.org>\nTo: Ada <ada@example.net>\nSubject: message {0}\n"
      "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"part-{0}\"\nStatus: RO\n\n--part-{0}\nContent-Type: text/plain\n\n",
      number);
  const auto end = fmt::format("--part-{}--\n\n", number);
  // A third of it is text with empty lines, the rest a part in base64.
  for (std::size_t line = 0; text.size() + end.size() < octets / 3;) text += ++line % 12 == 0 ? "\n" : "The quick brown fox jumps over the lazy dog and writes one more line.\n";
  text += fmt::format("--part-{}\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n", number);
  while (text.size() + end.size() + 77 < octets) text += "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9\n";
  return text + end;
}

base::UniqueFd make_spool(std::string name, std::size_t mib, std::size_t octets) {
  base::UniqueFd fd{::mkstemp(name.data())};
  ::unlink(name.c_str());
  std::string block;
  for (std::size_t number = 0, done = 0; fd.valid() && done < mib << 20U; ++number) {
    block += make_message(number, octets);
    if (block.size() < (1U << 20U)) continue;
    if (::write(fd.get(), block.data(), block.size()) != static_cast<ssize_t>(block.size())) return {};
    done += block.size();
    block.clear();
  }
  return fd;
}

class FileBytes final : public check::Bytes {
 public:
  explicit FileBytes(int fd) : fd_(fd), size_(static_cast<std::uint64_t>(::lseek(fd, 0, SEEK_END))) {}
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] base::Result<std::size_t> read(std::uint64_t offset, std::span<char> out) override {
    const auto got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    return got < 0 ? std::size_t{0} : static_cast<std::size_t>(got);
  }

 private:
  int fd_;
  std::uint64_t size_;
};

template <class Run>
double best_of(int rounds, Run&& run) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

/// For an octet that is not there, so that nothing but the search is measured.
void search(int fd, std::vector<char>& buffer) {
  for (off_t offset = 0;;) {
    const auto got = ::pread(fd, buffer.data(), buffer.size(), offset);
    if (got <= 0) return;
    if (std::memchr(buffer.data(), 0xFF, static_cast<std::size_t>(got)) != nullptr) std::exit(1);
    offset += got;
  }
}

void check_once(int fd) {
  FileBytes bytes{fd};
  const auto report = check::read_spool(bytes, {});
  if (!report || !report->clean() || report->messages != report->served) std::exit(1);
}

/// Of a process that does nothing else, in KiB.
long memory_of_a_check(int fd) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    check_once(fd);
    ::_exit(0);
  }
  rusage used{};
  int status = 0;
  return pid > 0 && ::wait4(pid, &status, 0, &used) == pid && status == 0 ? used.ru_maxrss : -1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t mib = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1024;
  const std::size_t octets = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 20'000;
  const std::string folder = argc > 3 ? argv[3] : "/tmp";
  const int rounds = argc > 4 ? std::atoi(argv[4]) : 5;
  const auto fd = make_spool(folder + "/popcheck_bench.XXXXXX", mib, octets);
  if (!fd.valid()) return 1;
  const long memory = memory_of_a_check(fd.get());
  std::vector<char> buffer(256UL * 1024);
  const double searched = best_of(rounds, [&] { search(fd.get(), buffer); });
  const double checked = best_of(rounds, [&] { check_once(fd.get()); });
  fmt::print("{} MiB in messages of {} octets: memchr {:.1f} ms, check {:.1f} ms, {:.2f} times as long, {} KiB resident\n", mib, octets, searched, checked,
             checked / searched, memory);
  return checked > 3 * searched || memory < 0 || memory > 32 * 1024 ? 1 : 0;
}
