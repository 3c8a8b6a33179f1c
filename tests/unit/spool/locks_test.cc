// SPDX-License-Identifier: MIT
// Locks against each other, against other programs, and against what dead programs leave.
#include "common/spool/locks.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/wait.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>

#include "tests/fault/maildrop_fixture.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using namespace qpop::test;
using base::ErrorKind;

/// A process that holds something for a while.
class Holder {
 public:
  template <class Take>
  Holder(Take&& take, unsigned hold_ms) {
    int pipe_fds[2];
    BOOST_REQUIRE(::pipe(pipe_fds) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const char result = take() ? 'y' : 'n';
      static_cast<void>(!::write(pipe_fds[1], &result, 1));
      ::usleep(hold_ms * 1000);
      ::_exit(0);
    }
    char result = 'n';
    BOOST_REQUIRE(::read(pipe_fds[0], &result, 1) == 1);
    BOOST_REQUIRE(result == 'y');
    ::close(pipe_fds[0]);
    ::close(pipe_fds[1]);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() { ::waitpid(pid_, nullptr, 0); }

 private:
  pid_t pid_ = -1;
};

/// The real system, with the real time.
struct RealProcess {
  explicit RealProcess(const MaildropFixture& drop) : dotlock(fs, clock, drop.spool_folder(), "ada") {}
  [[nodiscard]] Context context() { return {.fs = fs, .clock = clock, .dotlock = dotlock}; }

  SystemFileSystem fs;
  base::SystemClock clock;
  DirectDotlock dotlock;
};

bool lock_with_fcntl(const std::string& path) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return ::fcntl(::open(path.c_str(), O_RDWR), F_SETLK, &lock) == 0;
}

bool lock_with_flock(const std::string& path) {
  return ::flock(::open(path.c_str(), O_RDWR), LOCK_EX | LOCK_NB) == 0;
}

double elapsed_ms(const std::chrono::steady_clock::time_point& start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

BOOST_AUTO_TEST_CASE(waits_for_each_kind_of_lock_of_another_process) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  const auto path = drop.spool_path();
  for (const auto& take : {lock_with_fcntl, lock_with_flock}) {
    RealProcess process{drop};
    Holder holder{[&] { return take(path); }, 120};
    Warnings warnings;
    const auto refused = MailLock::acquire(process.context(), drop.paths(), {}, 0, warnings);
    BOOST_REQUIRE(!refused.has_value());
    BOOST_TEST((refused.error().kind() == ErrorKind::busy));
    BOOST_TEST(refused.error().detail().starts_with("mail lock: the f"));
    BOOST_TEST(!std::filesystem::exists(drop.lock_path()));  // nothing is kept while waiting
    const auto start = std::chrono::steady_clock::now();
    const auto locked = MailLock::acquire(process.context(), drop.paths(), {}, 5000, warnings);
    BOOST_TEST(locked.has_value());
    BOOST_TEST(elapsed_ms(start) < 2000);
    BOOST_TEST(warnings.empty());
  }
}

BOOST_AUTO_TEST_CASE(a_kind_that_is_switched_off_is_neither_taken_nor_waited_for) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  const auto path = drop.spool_path();
  Holder holder{[&] { return lock_with_fcntl(path) && lock_with_flock(path); }, 50};
  MaildropFixture::write_file(drop.lock_path(), "1\n");
  RealProcess process{drop};
  Warnings warnings;
  BOOST_TEST(MailLock::acquire(process.context(), drop.paths(), {.dotlock = false, .fcntl = false, .flock = false}, 0,
                               warnings)
                 .has_value());
  BOOST_TEST(!MailLock::acquire(process.context(), drop.paths(), {.dotlock = true, .fcntl = false, .flock = false}, 0,
                                warnings)
                  .has_value());
  BOOST_TEST(!MailLock::acquire(process.context(), drop.paths(), {.dotlock = false, .fcntl = true, .flock = false}, 0,
                                warnings)
                  .has_value());
  BOOST_TEST(!MailLock::acquire(process.context(), drop.paths(), {.dotlock = false, .fcntl = false, .flock = true}, 0,
                                warnings)
                  .has_value());
}

BOOST_AUTO_TEST_CASE(others_see_our_locks) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  RealProcess process{drop};
  Warnings warnings;
  {
    const auto lock = MailLock::acquire(process.context(), drop.paths(), {}, 0, warnings);
    BOOST_REQUIRE(lock.has_value());
    BOOST_TEST(MaildropFixture::read_file(drop.lock_path()).starts_with(fmt::format("{}\npopper ", ::getpid())));
    const auto path = drop.spool_path();
    Holder fcntl_refused{[&] { return !lock_with_fcntl(path); }, 0};
    Holder flock_refused{[&] { return !lock_with_flock(path); }, 0};
  }
  BOOST_TEST(!std::filesystem::exists(drop.lock_path()));
  const auto path = drop.spool_path();
  Holder free_again{[&] { return lock_with_fcntl(path) && lock_with_flock(path); }, 0};
}

BOOST_AUTO_TEST_CASE(procmails_lockfile_and_ours_exclude_each_other) {
  if (std::system("command -v lockfile > /dev/null 2>&1") != 0) {
    BOOST_TEST_MESSAGE("SKIPPED: lockfile(1) is not installed");
    return;
  }
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  RealProcess process{drop};
  Warnings warnings;
  const std::string take = "lockfile -r0 " + drop.lock_path() + " 2> /dev/null";
  {
    const auto lock = MailLock::acquire(process.context(), drop.paths(), {}, 0, warnings);
    BOOST_REQUIRE(lock.has_value());
    BOOST_TEST(std::system(take.c_str()) != 0);
  }
  BOOST_TEST(std::system(take.c_str()) == 0);
  const auto refused = MailLock::acquire(process.context(), drop.paths(), {}, 0, warnings);
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST(refused.error().detail() == "mail lock: the lock file is held");
  std::filesystem::remove(drop.lock_path());
  BOOST_TEST(MailLock::acquire(process.context(), drop.paths(), {}, 0, warnings).has_value());
}

BOOST_AUTO_TEST_CASE(pauses_are_random_and_bounded_and_the_timeout_holds) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  MaildropFixture::write_file(drop.lock_path(), "1\n");
  Process process{drop};
  Warnings warnings;
  const auto refused = MailLock::acquire(process.context(), drop.paths(), {}, 3000, warnings);
  BOOST_TEST((refused.error().kind() == ErrorKind::busy));
  BOOST_TEST(process.clock.monotonic_ms() == 3000);
  const auto tries = process.fs.count("open ada.lock");
  BOOST_TEST(tries >= 3000U / 200);
  BOOST_TEST(process.fs.count("flock") == process.fs.count("unlock_flock"));
  BOOST_TEST(process.fs.count("lock_record") == process.fs.count("unlock_record"));
}

BOOST_AUTO_TEST_CASE(a_lock_file_is_broken_only_when_old_and_its_process_gone_and_the_kernel_locks_held) {
  struct Case {
    std::string content;
    bool old, kernel_locks, gone, want;
  };
  const std::string self = fmt::format("{}\n", ::getpid());
  const auto of_popper = [](pid_t pid, const std::string& host, const std::string& boot) {
    return fmt::format("{}\npopper {} {}\n", pid, host, boot);
  };
  const std::string here = "first-boot 4026531836";
  for (const auto& c :
       {Case{self, true, true, true, true}, Case{self, false, true, true, false}, Case{self, true, false, true, false},
        Case{fmt::format("{}\n", ::getppid()), true, true, false, false}, Case{self, true, true, false, true}, Case{"", true, true, true, true}, Case{"0", true, true, false, true},
        Case{"999@testhost\n", true, true, true, true}, Case{"999@elsewhere\n", true, true, true, false},
        Case{"999:testhost\n", true, true, true, true}, Case{"999:elsewhere\n", true, true, true, false},
        Case{"who knows\n", true, true, true, true},
        // Of a popper: at once, when it is certainly gone.
        Case{of_popper(999, "testhost", here), false, true, true, true},
        Case{of_popper(999, "testhost", here), false, false, true, false},
        Case{of_popper(::getppid(), "testhost", here), true, true, false, false},
        Case{of_popper(::getpid(), "testhost", here), false, true, false, false},
        Case{of_popper(::getppid(), "testhost", "boot-before 4026531836"), false, true, false, true},
        Case{of_popper(999, "elsewhere", here), false, true, true, false},
        Case{of_popper(999, "testhost", "first-boot 4"), false, true, true, false},
        Case{of_popper(999, "testhost", "boot-before 4026531836").substr(0, 30), false, true, true, false}}) {
    MaildropFixture drop;
    MaildropFixture::write_file(drop.lock_path(), c.content);
    Process process{drop};
    process.fs.set_processes_exist(!c.gone);
    if (c.old) process.clock.advance_ms(files::kStaleAgeMs + 1000);
    const auto seen = files::look_at_lock(process.fs, process.clock.realtime_ns(), drop.spool_folder(), "ada.lock");
    BOOST_REQUIRE(seen.has_value());
    if (c.kernel_locks) BOOST_TEST(seen->stale == c.want, "content '" << c.content << "'");
    BOOST_TEST(MaildropFixture::read_file(drop.lock_path()) == c.content);
    const auto got = process.context().dotlock.try_lock(c.kernel_locks);
    BOOST_REQUIRE(got.has_value());
    BOOST_TEST(*got == c.want, "content '" << c.content << "'");
    BOOST_TEST((MaildropFixture::read_file(drop.lock_path()) == c.content) == !c.want);
    BOOST_TEST(process.context().dotlock.unlock().has_value());
    BOOST_TEST(std::filesystem::exists(drop.lock_path()) == !c.want);
  }
}

BOOST_AUTO_TEST_CASE(a_stale_lock_file_is_broken_where_lock_files_are_the_only_locks) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  MaildropFixture::write_file(drop.lock_path(), "999\n");
  Process process{drop};
  process.be_later();
  Warnings warnings;
  constexpr MailLockKinds kDotlockOnly{.dotlock = true, .fcntl = false, .flock = false};
  const auto path = drop.spool_path();
  {
    Holder somebody_else_breaks_it{[&] { return lock_with_flock(path); }, 300};
    BOOST_TEST(!MailLock::acquire(process.context(), drop.paths(), kDotlockOnly, 0, warnings));
  }
  const auto locked = MailLock::acquire(process.context(), drop.paths(), kDotlockOnly, 0, warnings);
  BOOST_TEST(locked.has_value());
  Holder flock_is_free{[&] { return lock_with_flock(path); }, 0};
}

BOOST_AUTO_TEST_CASE(what_is_no_lock_file_is_never_removed) {
  for (const bool folder : {true, false}) {
    MaildropFixture drop;
    if (folder) {
      std::filesystem::create_directory(drop.lock_path());
    } else {
      std::filesystem::create_symlink("/nonexistent/target", drop.lock_path());
    }
    Process process{drop};
    process.be_later();
    const auto got = process.context().dotlock.try_lock(true);
    BOOST_TEST((got.has_value() && !*got));
    BOOST_TEST(!std::filesystem::exists("/nonexistent/target"));
  }
}

BOOST_AUTO_TEST_CASE(a_lock_that_was_broken_by_others_is_not_removed_by_us) {
  MaildropFixture drop;
  Process process{drop};
  auto& dotlock = process.context().dotlock;
  BOOST_REQUIRE(*dotlock.try_lock(false));
  BOOST_TEST(dotlock.touch().has_value());
  std::filesystem::rename(drop.lock_path(), drop.lock_path() + "-stolen");  // its inode must not be given again
  MaildropFixture::write_file(drop.lock_path(), "1\n");
  BOOST_TEST(dotlock.unlock().has_value());
  BOOST_TEST(MaildropFixture::read_file(drop.lock_path()) == "1\n");
}

/// A spool folder in which nobody may make a file.
class RefusingDotlock final : public Dotlock {
 public:
  explicit RefusingDotlock(int errno_value) : errno_value_(errno_value) {}
  base::Result<bool> try_lock(bool) override { return base::Error::from_errno(errno_value_, "open"); }
  base::Status touch() override { return {}; }
  base::Status unlock() override { return {}; }

 private:
  int errno_value_;
};

BOOST_AUTO_TEST_CASE(without_a_place_for_lock_files_the_kernel_locks_must_do) {
  for (const auto& [errno_value, want] : {std::pair{EACCES, true}, std::pair{ENOSPC, true}, std::pair{EIO, false}}) {
    MaildropFixture drop;
    drop.write_spool(mbox_message(1));
    Process process{drop};
    RefusingDotlock dotlock{errno_value};
    const Context context{.fs = process.fs, .clock = process.clock, .dotlock = dotlock};
    const auto opened = open_maildrop(context, drop.paths(), {});
    BOOST_TEST(opened.has_value() == want);
    if (opened) BOOST_TEST(opened->warnings.size() == 1U);
    Warnings warnings;
    BOOST_TEST(
        !MailLock::acquire(context, drop.paths(), {.dotlock = true, .fcntl = false, .flock = false}, 0, warnings));
  }
}

void replace_spool_once(FaultFileSystem& fs, std::string_view call) {
  if (call != "lock_record") return;
  const auto& drop = *static_cast<const MaildropFixture*>(fs.intruder_data);
  MaildropFixture::write_file(drop.spool_path() + ".new", mbox_message(2) + mbox_message(3));
  std::filesystem::rename(drop.spool_path() + ".new", drop.spool_path());
  fs.intruder = nullptr;
}

BOOST_AUTO_TEST_CASE(a_spool_that_is_replaced_while_it_is_locked_is_opened_again) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  Process process{drop};
  process.fs.intruder_data = &drop;
  process.fs.intruder = replace_spool_once;
  const auto opened = process.open();
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST(opened->count == 2U);
}

BOOST_AUTO_TEST_CASE(the_lock_file_is_touched_during_long_work) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  Process process{drop};
  Warnings warnings;
  auto lock = MailLock::acquire(process.context(), drop.paths(), {}, 0, warnings);
  BOOST_REQUIRE(lock.has_value());
  lock->refresh();
  BOOST_TEST(process.fs.count("set_times") == 0U);
  process.clock.advance_ms(31'000);
  lock->refresh();
  lock->refresh();
  BOOST_TEST(process.fs.count("set_times") == 1U);
}

BOOST_AUTO_TEST_CASE(a_session_waits_for_the_end_of_an_update_that_is_committed) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  test::Process first{drop};
  test::Process second{drop};
  auto opened = first.open();
  mark_finishing(first.context(), opened->session_lock.get());
  const auto before = second.clock.monotonic_ms();
  const auto refused = second.open();
  BOOST_TEST((refused.error().kind() == ErrorKind::busy));
  BOOST_TEST(second.clock.monotonic_ms() - before >= MaildropSettings{}.open_timeout_ms);
  second.fs.intruder_data = &opened->session_lock;
  second.fs.intruder = [](FaultFileSystem& fs, std::string_view call) {
    if (call == "unlock_record" || fs.count("lock_record") < 2000) return;
    static_cast<base::UniqueFd*>(fs.intruder_data)->reset();
  };
  BOOST_TEST(second.open().has_value());
}

BOOST_AUTO_TEST_CASE(a_look_at_the_lock_does_not_keep_an_update_from_saying_that_it_finishes) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  test::Process first{drop};
  test::Process second{drop};
  auto opened = first.open();
  // Another process that wants the lock tries the record lock, to see whether it is held, and has it at this very moment.
  base::UniqueFd looks{::open(drop.state_path("session").c_str(), O_RDWR | O_CLOEXEC)};
  BOOST_REQUIRE(*second.fs.try_lock_record(looks.get()));
  int tries = 0;
  first.fs.intruder = [&](FaultFileSystem&, std::string_view call) {
    if (call == "lock_record" && ++tries == 2) looks.reset();
  };
  mark_finishing(first.context(), opened->session_lock.get());
  BOOST_TEST(tries == 2);
  BOOST_TEST(!*second.fs.try_lock_record(base::UniqueFd{::open(drop.state_path("session").c_str(), O_RDWR | O_CLOEXEC)}.get()));
}

BOOST_AUTO_TEST_CASE(who_wants_the_session_lock_may_wait_for_whoever_holds_it) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(1));
  test::Process first{drop};
  test::Process second{drop};
  auto opened = first.open();
  const auto take = [&](std::uint32_t patience_ms, std::uint32_t ending_ms) {
    return lock_session(second.context(), drop.paths().state_folder_fd, patience_ms, ending_ms);
  };
  const auto start = second.clock.monotonic_ms();
  const auto waited = [&] { return second.clock.monotonic_ms() - start; };
  BOOST_TEST((take(60'000, 0).error().kind() == ErrorKind::busy));
  BOOST_TEST(waited() == 0);
  BOOST_TEST((take(0, 3000).error().kind() == ErrorKind::busy));
  BOOST_TEST(waited() >= 3000);
  BOOST_TEST(waited() < 4000);
  // It ends while we wait.
  int looks = 0;
  second.fs.intruder = [&](FaultFileSystem&, std::string_view call) {
    if (call == "flock" && ++looks == 40) opened->session_lock.reset();
  };
  BOOST_TEST(take(0, 3000).has_value());
}

BOOST_AUTO_TEST_CASE(an_update_says_that_it_only_finishes) {
  MaildropFixture drop;
  drop.write_spool(mbox_message(1) + mbox_message(2) + mbox_message(3));
  test::Process first{drop};
  auto opened = first.open();
  auto request = request_for(*opened, {0});
  std::uint64_t moving = 0;
  bool finishing_before = true;
  bool finishing = false;
  const auto is_finishing = [&] {
    test::Process second{drop};
    const auto start = second.clock.monotonic_ms();
    BOOST_TEST(!second.open().has_value());
    return second.clock.monotonic_ms() > start;
  };
  finishing_before = is_finishing();
  request.committed = [&](std::uint64_t octets) {
    moving = octets;
    finishing = is_finishing();
  };
  BOOST_TEST(first.update(request).has_value());
  BOOST_TEST(!finishing_before);
  BOOST_TEST(finishing);
  BOOST_TEST(moving == (mbox_message(2) + mbox_message(3)).size());
}

BOOST_AUTO_TEST_CASE(the_words_of_the_option_are_kinds_of_locks) {
  const auto text = [](const MailLockKinds& kinds) {
    return fmt::format("{}{}{}{}", kinds.dotlock ? "d" : "", kinds.fcntl ? "c" : "", kinds.flock ? "f" : "", kinds.lease ? "l" : "");
  };
  for (const auto& [words, want] : {std::pair{"dotlock fcntl flock lease", "dcfl"}, std::pair{"none", ""}, std::pair{"", ""}, std::pair{"fcntl", "c"},
                                    std::pair{" flock  dotlock ", "df"}, std::pair{"dotlocks unflock", ""}, std::pair{"lease", "l"}})
    BOOST_TEST(text(lock_kinds(words)) == want, words);
  for (const auto& [words, want] : {std::pair{"dotlock fcntl flock lease none", ""}, std::pair{"", ""}, std::pair{"  fcntl ", ""}, std::pair{"dotlock,fcntl", "dotlock,fcntl"},
                                    std::pair{"dotlock Fcntl x", "Fcntl"}})
    BOOST_TEST(unknown_lock_kind(words) == want, words);
}

}  // namespace
