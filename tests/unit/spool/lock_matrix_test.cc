// SPDX-License-Identifier: MIT
// Every combination of our locks against every kind of a foreign one, mutual exclusion without deadlock, lock files made by
// link, and the lease.
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <functional>
#include <random>

#include "common/spool/locks.h"
#include "common/spool/spool_file.h"
#include "tests/fault/maildrop_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using namespace qpop::test;
using base::ErrorKind;

/// The real system, with the real time.
struct RealProcess {
  explicit RealProcess(const MaildropFixture& drop,
                       files::LockCreation creation = files::LockCreation::exclusive_open)
      : dotlock(fs, clock, drop.spool_folder(), "ada", creation) {}
  [[nodiscard]] Context context() { return {.fs = fs, .clock = clock, .dotlock = dotlock}; }

  SystemFileSystem fs;
  base::SystemClock clock;
  DirectDotlock dotlock;
};

constexpr unsigned kDot = 1;
constexpr unsigned kFcntl = 2;
constexpr unsigned kFlock = 4;
constexpr unsigned kAll = 7;

MailLockKinds kinds_of(unsigned bits) {
  return {.dotlock = (bits & kDot) != 0, .fcntl = (bits & kFcntl) != 0, .flock = (bits & kFlock) != 0};
}

/// As a foreign program does it, keeping what it got as long as the process lives.
bool take_foreign(const MaildropFixture& drop, unsigned kind) {
  if (kind == kDot) {
    const int fd = ::open(drop.lock_path().c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600);
    return fd >= 0 && ::dprintf(fd, "%d\n", ::getpid()) > 0;
  }
  const int fd = ::open(drop.spool_path().c_str(), O_RDWR);
  if (kind == kFlock) return ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return ::fcntl(fd, F_SETLK, &lock) == 0;
}

/// Exit code of what a child does.
int in_child(const std::function<int()>& work) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(work());
  int status = 0;
  BOOST_REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// A child that did `take` and then waits until it is let go.
class Holder {
 public:
  explicit Holder(const std::function<bool()>& take) {
    BOOST_REQUIRE(::pipe(ready_) == 0 && ::pipe(go_) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(go_[1]);
      char octet = take() ? 'y' : 'n';
      static_cast<void>(!::write(ready_[1], &octet, 1));
      static_cast<void>(!::read(go_[0], &octet, 1));
      ::_exit(0);
    }
    char octet = 'n';
    BOOST_REQUIRE(::read(ready_[0], &octet, 1) == 1);
    BOOST_REQUIRE(octet == 'y');
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() {
    for (const int fd : {go_[0], go_[1], ready_[0], ready_[1]}) ::close(fd);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  int ready_[2]{};
  int go_[2]{};
  pid_t pid_ = -1;
};

BOOST_AUTO_TEST_CASE(every_combination_meets_every_foreign_lock) {
  for (unsigned ours = 0; ours <= kAll; ++ours) {
    for (const unsigned theirs : {kDot, kFcntl, kFlock}) {
      for (const auto creation : {files::LockCreation::exclusive_open, files::LockCreation::link}) {
        const bool conflict = (ours & theirs) != 0;
        const auto what = fmt::format("ours {} theirs {}", ours, theirs);
        {
          MaildropFixture drop;
          drop.write_spool(mbox_message(1));
          Holder holder{[&] { return take_foreign(drop, theirs); }};
          RealProcess process{drop, creation};
          Warnings warnings;
          const auto locked = MailLock::acquire(process.context(), drop.paths(), kinds_of(ours), 30, warnings);
          BOOST_TEST(locked.has_value() != conflict, what);
          if (!locked) BOOST_TEST((locked.error().kind() == ErrorKind::busy));
        }
        MaildropFixture drop;
        drop.write_spool(mbox_message(1));
        RealProcess process{drop, creation};
        Warnings warnings;
        {
          const auto locked = MailLock::acquire(process.context(), drop.paths(), kinds_of(ours), 30, warnings);
          BOOST_REQUIRE(locked.has_value());
          BOOST_TEST(in_child([&] { return take_foreign(drop, theirs) ? 0 : 1; }) == (conflict ? 1 : 0), what);
          if (!conflict && theirs == kDot) std::filesystem::remove(drop.lock_path());
        }
        BOOST_TEST(in_child([&] { return take_foreign(drop, theirs) ? 0 : 1; }) == 0, what << " after release");
        for (const auto& entry : std::filesystem::directory_iterator{std::filesystem::path{drop.spool_path()}.parent_path()})
          BOOST_TEST((entry.path().filename() == "ada" || entry.path().filename() == "ada.lock"), entry.path());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(mixed_combinations_exclude_each_other_and_end) {
  constexpr int kProcesses = 6;
  constexpr int kRounds = 40;
  struct Shared {
    std::atomic<int> inside{0};
    std::atomic<int> rounds{0};
    std::atomic<int> overlaps{0};
  };
  auto* shared = new (::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Shared;
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      std::mt19937 random{static_cast<unsigned>(i)};
      RealProcess process{drop, i % 2 == 0 ? files::LockCreation::exclusive_open : files::LockCreation::link};
      for (int round = 0; round < kRounds; ++round) {
        Warnings warnings;
        // fcntl is common to all.
        const auto kinds = kinds_of(kFcntl | static_cast<unsigned>(random() % 8));
        const auto locked = MailLock::acquire(process.context(), drop.paths(), kinds, 60'000, warnings);
        if (!locked) ::_exit(1);
        if (++shared->inside != 1) ++shared->overlaps;
        ::usleep(50);
        --shared->inside;
        ++shared->rounds;
      }
      ::_exit(0);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = -1;
    ::waitpid(pid, &status, 0);
    BOOST_TEST(status == 0);
  }
  BOOST_TEST(shared->rounds == kProcesses * kRounds);
  BOOST_TEST(shared->overlaps == 0);
  ::munmap(shared, sizeof(Shared));
}

constexpr MailLockKinds kWithLease{.dotlock = true, .fcntl = true, .flock = true, .lease = true};

/// 0 opened, 1 made to wait, 2 another error.
int open_without_waiting(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_NONBLOCK);
  return fd >= 0 ? 0 : errno == EWOULDBLOCK ? 1 : 2;
}

BOOST_AUTO_TEST_CASE(a_lease_keeps_programs_without_locks_out) {
  static_cast<void>(::signal(SIGIO, SIG_IGN));
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  RealProcess process{drop};
  Warnings warnings;
  {
    auto locked = MailLock::acquire(process.context(), drop.paths(), kWithLease, 0, warnings);
    BOOST_REQUIRE(locked.has_value());
    BOOST_TEST(in_child([&] { return open_without_waiting(drop.spool_path()); }) == 0);  // not yet taken
    locked->take_lease();
    BOOST_TEST(in_child([&] { return open_without_waiting(drop.spool_path()); }) == 1);
    // One of ours that comes meanwhile waits like for a lock.
    BOOST_TEST(in_child([&] {
                 RealProcess other{drop};
                 const auto refused = MailLock::acquire(other.context(), drop.paths(), {}, 30, warnings);
                 return refused || refused.error().kind() != ErrorKind::busy ? 1 : 0;
               }) == 0);
  }
  BOOST_TEST(in_child([&] { return open_without_waiting(drop.spool_path()); }) == 0);
}

BOOST_AUTO_TEST_CASE(an_update_and_a_recovery_try_for_a_lease_where_it_is_wanted) {
  for (const bool wanted : {true, false}) {
    MaildropFixture drop;
    drop.write_spool(mbox_message(1) + mbox_message(2) + mbox_message(3));
    const MaildropSettings settings{.locks = wanted ? kWithLease : MailLockKinds{}};
    Process opener{drop};
    const auto opened = opener.open(settings);
    BOOST_TEST(opener.fs.count("lease") == 0U);
    Process process{drop};
    BOOST_REQUIRE(process.update(request_for(*opened, {0}), settings).has_value());
    BOOST_TEST(process.fs.count("lease") == (wanted ? 1U : 0U));
    MaildropFixture::write_file(drop.state_path("journal"), "no journal");
    Process recovering{drop};
    BOOST_REQUIRE(recovering.recover(settings).has_value());
    BOOST_TEST(recovering.fs.count("lease") == (wanted ? 1U : 0U));
  }
}

BOOST_AUTO_TEST_CASE(a_refused_lease_is_no_failure) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  Holder reader{[&] { return ::open(drop.spool_path().c_str(), O_RDONLY) >= 0; }};
  RealProcess process{drop};
  Warnings warnings;
  auto locked = MailLock::acquire(process.context(), drop.paths(), kWithLease, 0, warnings);
  BOOST_REQUIRE(locked.has_value());
  locked->take_lease();
  BOOST_TEST(in_child([&] { return open_without_waiting(drop.spool_path()); }) == 0);
}

BOOST_AUTO_TEST_CASE(a_process_that_dies_leaves_no_lock_file_without_its_content) {
  std::size_t with_lock = 0;
  bool died = true;
  for (std::size_t at = 0; died; ++at) {
    MaildropFixture drop;
    FakeClock clock;
    FaultFileSystem fs{clock, {.kind = Fault::Kind::die, .at = at}};
    DirectDotlock lock{fs, clock, drop.spool_folder(), "ada"};
    const auto got = lock.try_lock(false);
    died = fs.dead();
    BOOST_TEST(got.has_value() == !died);
    if (!std::filesystem::exists(drop.lock_path())) continue;
    ++with_lock;
    const auto content = MaildropFixture::read_file(drop.lock_path());
    BOOST_TEST(content.ends_with("\npopper testhost first-boot 4026531836\n"), "call " << at << ": '" << content << "'");
    // So the next one does not wait for its age.
    fs.revive();
    fs.set_processes_exist(false);
    DirectDotlock next{fs, clock, drop.spool_folder(), "ada"};
    BOOST_TEST(*next.try_lock(true));
  }
  BOOST_TEST(with_lock >= 2U);
}

BOOST_AUTO_TEST_CASE(where_a_file_must_have_a_name_the_lock_is_made_under_it) {
  for (const std::string_view missing : {"unnamed_file", "name_file"}) {
    for (const int errno_value : {EOPNOTSUPP, ENOENT, EPERM}) {
      MaildropFixture drop;
      FakeClock clock;
      FaultFileSystem fs{clock, {.kind = Fault::Kind::fail_from, .errno_value = errno_value, .only = missing}};
      DirectDotlock lock{fs, clock, drop.spool_folder(), "ada"};
      BOOST_TEST(*lock.try_lock(false));
      DirectDotlock other{fs, clock, drop.spool_folder(), "ada"};
      BOOST_TEST(!*other.try_lock(true));
      BOOST_TEST(MaildropFixture::read_file(drop.lock_path()).starts_with(fmt::format("{}\n", ::getpid())));
      BOOST_TEST(lock.unlock().has_value());
      BOOST_TEST(std::distance(std::filesystem::directory_iterator{drop.lock_path().substr(0, drop.lock_path().rfind('/'))},
                               std::filesystem::directory_iterator{}) == 0);
    }
  }
}

}  // namespace
