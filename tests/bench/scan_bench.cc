// SPDX-License-Identifier: MIT
// Speed of the mailbox scan, digests included: a spool of equal messages in the page cache, read in pieces of 256 KiB.
// Usage: scan_bench --memchr FILE   milliseconds of one pass of memchr over every line of a mapped file
//        scan_bench [megabytes [octets-of-a-message [folder [rounds]]]]; with rounds: the best kernel only.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/mbox/scanner.h"
#include "common/mbox/unique_id.h"
#include "tests/bench/bench_spool.h"

namespace {

using namespace qpop;

std::string make_message(std::size_t number, std::size_t octets) {
  std::string text = bench::message_head(number) + "Content-Type: text/plain; charset=utf-8\n\n";
  if (text.size() + 4 < octets) text += bench::prose(octets - text.size() - 4);
  return text + "\n";
}

struct Times {
  double read_ms = 0;
  double scan_ms = 0;
  std::size_t messages = 0;
};

template <class Take>
double timed(int fd, std::vector<char>& buffer, Take&& take) {
  const auto start = std::chrono::steady_clock::now();
  for (off_t offset = 0;;) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), offset);
    if (got <= 0) break;
    offset += got;
    take(std::string_view{buffer.data(), static_cast<std::size_t>(got)});
  }
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

Times run(int fd, mbox::Kernel kernel) {
  std::vector<char> buffer(256UL * 1024);
  Times times;
  times.read_ms = timed(fd, buffer, [](std::string_view) {});
  const auto start = std::chrono::steady_clock::now();
  mbox::Scanner scanner{{}, {}, kernel};
  timed(fd, buffer, [&](std::string_view piece) {
    if (!scanner.feed(piece)) std::exit(1);
  });
  auto result = scanner.finish();
  if (!result) std::exit(1);
  mbox::assign_unique_ids(result->records, {});
  times.scan_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  times.messages = result->records.size();
  return times;
}

/// What any program that looks at each line has to pay at least.
int memchr_pass(const char* path) {
  const base::UniqueFd fd{::open(path, O_RDONLY | O_CLOEXEC)};
  struct stat status {};
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return 1;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd.get(), 0);
  if (memory == MAP_FAILED) return 1;
  double best = 1e9;
  std::size_t lines = 0;
  for (int round = 0; round < 3; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const auto* at = static_cast<const char*>(memory);
    const auto* const end = at + size;
    for (lines = 0; at < end; ++lines) {
      const void* found = std::memchr(at, '\n', static_cast<std::size_t>(end - at));
      if (found == nullptr) break;
      at = static_cast<const char*>(found) + 1;
    }
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  fmt::print("memchr {:.2f} ms, {} lines\n", best, lines);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view{argv[1]} == "--memchr") return memchr_pass(argv[2]);
  const std::size_t megabytes = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 400;
  const std::size_t octets = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 20'000;
  const std::string folder = argc > 3 ? argv[3] : "/tmp";
  const auto fd = bench::make_spool(folder, megabytes * 1'000'000, [&](std::size_t number) { return make_message(number, octets); });
  if (!fd.valid()) return 1;
  const int rounds = argc > 4 ? std::atoi(argv[4]) : 5;
  for (const auto kernel : {mbox::Kernel::best, mbox::Kernel::avx2, mbox::Kernel::sse2, mbox::Kernel::portable}) {
    if (kernel != mbox::Kernel::best && argc > 4) break;
    Times best{.read_ms = 1e9, .scan_ms = 1e9};
    for (int round = 0; round < rounds; ++round) {
      const auto times = run(fd.get(), kernel);
      best = {std::min(best.read_ms, times.read_ms), std::min(best.scan_ms, times.scan_ms), times.messages};
    }
    fmt::print("{}: {} MB, {} messages: read alone {:.1f} ms, read, scan and unique-ids {:.1f} ms ({:.2f} GB/s)\n",
               kernel == mbox::Kernel::best   ? "best"
               : kernel == mbox::Kernel::avx2 ? "avx2"
               : kernel == mbox::Kernel::sse2 ? "sse2"
                                              : "portable",
               megabytes, best.messages, best.read_ms, best.scan_ms, static_cast<double>(megabytes) / best.scan_ms);
  }
  return 0;
}
