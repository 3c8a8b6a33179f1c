// SPDX-License-Identifier: MIT
// How long an update holds the locks of a spool: from making the lock file to removing it, seen from inside.
// Usage: bench_lock_time [FOLDER [UPDATES [KIBIBYTES]]]; the folder should lie on a disk. So much mail moves in each.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/fault/scenarios.h"

namespace {

using namespace qpop;
using namespace qpop::test;
using Time = std::chrono::steady_clock;

class TimedFileSystem final : public spool::SystemFileSystem {
 public:
  base::Result<base::UniqueFd> open_at(int folder, const std::string& name, int flags, unsigned mode) override {
    auto fd = SystemFileSystem::open_at(folder, name, flags, mode);
    if (fd && name == "ada.lock") locked_ = Time::now();
    return fd;
  }
  base::Status unlink_at(int folder, const std::string& name) override {
    auto done = SystemFileSystem::unlink_at(folder, name);
    if (done && name == "ada.lock")
      held_.push_back(std::chrono::duration<double, std::milli>(Time::now() - locked_).count());
    return done;
  }
  [[nodiscard]] double last() const { return held_.back(); }

 private:
  Time::time_point locked_;
  std::vector<double> held_;
};

/// Milliseconds for one update of a maildrop in which `moved` octets are kept behind a deleted message of `gap` octets.
double one_update(const MaildropFixture& drop, std::size_t gap, std::size_t moved) {
  drop.clear();
  std::string spool = sized_message(1, gap);
  for (unsigned i = 2; moved > 0; ++i) {
    const std::size_t size = moved >= 2 * 8192 ? 8192 : moved;
    spool += sized_message(i, size);
    moved -= size;
  }
  drop.write_spool(spool);
  TimedFileSystem fs;
  base::SystemClock clock;
  spool::DirectDotlock dotlock{fs, clock, drop.spool_folder(), "ada"};
  const spool::Context context{.fs = fs, .clock = clock, .dotlock = dotlock};
  auto opened = spool::open_maildrop(context, drop.paths(), {});
  if (!opened) throw std::runtime_error(opened.error().message());
  const auto request = request_for(*opened, {0});
  opened->spool.reset();
  const auto updated = spool::update_maildrop(context, drop.paths(), {}, request);
  if (!updated) throw std::runtime_error(updated.error().message());
  return fs.last();
}

void measure(const MaildropFixture& drop, const char* way, int updates, std::size_t gap, std::size_t moved) {
  std::vector<double> times;
  for (int i = 0; i < updates; ++i) times.push_back(one_update(drop, gap, moved));
  std::sort(times.begin(), times.end());
  const auto at = [&](double part) {
    return times[static_cast<std::size_t>(part * static_cast<double>(times.size() - 1))];
  };
  std::printf("%s: %d updates, %zu KiB moved: lock held p50 %.1f ms, p99 %.1f ms, at most %.1f ms\n", way, updates,
              moved / 1024, at(0.5), at(0.99), times.back());
}

}  // namespace

int main(int argc, char** argv) {
  const TemporaryFolder folder{argc > 1 ? argv[1] : "/tmp"};
  const int updates = argc > 2 ? std::atoi(argv[2]) : 200;
  const std::size_t moved = (argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 1024) * 1024;
  const MaildropFixture drop{folder.path(), folder.path()};
  measure(drop, "data journal", updates, 4096, moved);
  measure(drop, "stride journal", updates, moved + 4096, moved);
  return 0;
}
