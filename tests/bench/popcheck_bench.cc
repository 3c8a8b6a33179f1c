// SPDX-License-Identifier: MIT
// Both readings of popcheck over a clean spool, against memchr over the same octets, read alike from the page cache; and the
// memory that a check takes. Exit code 1 when a check takes more than LIMIT times as long (3), or more than 32 MiB.
// Usage: popcheck_bench [MIB [OCTETS-OF-A-MESSAGE [FOLDER [ROUNDS [LIMIT]]]]]
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

#include "common/check/reading.h"
#include "common/spool/spool_bytes.h"
#include "common/spool/spool_file.h"
#include "tests/bench/bench_spool.h"

namespace {

using namespace qpop;

std::string make_message(std::size_t number, std::size_t octets) {
  std::string text = bench::message_head(number);
  text += fmt::format("Content-Type: multipart/mixed; boundary=\"part-{0}\"\n\n--part-{0}\nContent-Type: text/plain\n\n", number);
  const auto end = fmt::format("--part-{}--\n\n", number);
  // A third of it is text with empty lines, the rest a part in base64.
  if (text.size() + end.size() < octets / 3) text += bench::prose(octets / 3 - text.size() - end.size());
  text += fmt::format("--part-{}\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n", number);
  while (text.size() + end.size() + 77 < octets) text += "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9\n";
  return text + end;
}

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
  files::SystemFileSystem fs;
  const auto size = spool::size_of(fs, fd);
  if (!size) std::exit(1);
  spool::SpoolBytes bytes{fs, fd, *size};
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
  const double limit = argc > 5 ? std::atof(argv[5]) : 3;
  const auto fd = bench::make_spool(folder, mib << 20U, [&](std::size_t number) { return make_message(number, octets); });
  if (!fd.valid()) return 1;
  const long memory = memory_of_a_check(fd.get());
  std::vector<char> buffer(256UL * 1024);
  const double searched = best_of(rounds, [&] { search(fd.get(), buffer); });
  const double checked = best_of(rounds, [&] { check_once(fd.get()); });
  fmt::print("{} MiB in messages of {} octets: memchr {:.1f} ms, check {:.1f} ms, {:.2f} times as long, {} KiB resident\n", mib, octets, searched, checked,
             checked / searched, memory);
  return checked > limit * searched || memory < 0 || memory > 32 * 1024 ? 1 : 0;
}
