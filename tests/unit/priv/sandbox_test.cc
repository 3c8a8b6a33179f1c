// SPDX-License-Identifier: MIT
// What a confined process tries and must not be able to do; each attempt in a child of its own.
#include "common/priv/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>

#include "common/priv/confine.h"
#include "common/priv/drop.h"

namespace {

using namespace qpop::priv;

constexpr uid_t kUid = 64321;

/// Exit status of a child that runs `body`; a signal is told as 1000 + its number.
int in_child(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  BOOST_REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(body());
  int status = 0;
  BOOST_REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

BOOST_AUTO_TEST_CASE(dropped_rights_cannot_be_taken_back) {
  if (::geteuid() != 0) {
    BOOST_TEST_MESSAGE("SKIPPED: needs root");
    return;
  }
  BOOST_TEST(in_child([] {
               if (!drop_to(kUid, kUid)) return 1;
               if (::setuid(0) == 0 || ::seteuid(0) == 0 || ::setgid(0) == 0 || ::setgroups(0, nullptr) == 0) return 2;
               return ::open("/etc/shadow", O_RDONLY) >= 0 ? 3 : 0;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(without_root_no_other_user_can_be_claimed) {
  BOOST_TEST(in_child([] {
               if (::geteuid() == 0 && !drop_to(kUid, kUid)) return 1;
               return drop_to(kUid + 1, kUid).has_value() ? 2 : 0;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(session_calls_end_at_the_allow_list) {
#if !QPOP_SANITIZED
  const auto confined = [](const std::function<int()>& attempt) {
    return in_child([&] {
      if (!harden_process() || !restrict_calls_of_session()) return 90;
      return attempt();
    });
  };
  const int killed = 1000 + SIGSYS;
  BOOST_TEST(confined([] { return 7; }) == 7);
  BOOST_TEST(confined([] { return ::open("/dev/null", O_RDONLY); }) == killed);
  BOOST_TEST(confined([] { return ::socket(AF_INET, SOCK_STREAM, 0); }) == killed);
  BOOST_TEST(confined([] { return static_cast<int>(::fork()); }) == killed);
  BOOST_TEST(confined([] { return ::kill(1, 0); }) == killed);
  BOOST_TEST(confined([] { return ::execl("/bin/true", "true", nullptr); }) == killed);
  BOOST_TEST(confined([] { return ::setuid(0); }) == killed);
#endif
}

BOOST_AUTO_TEST_CASE(landlock_leaves_only_the_folders_named) {
  char folder[] = "/tmp/qpop.XXXXXX";
  BOOST_REQUIRE(::mkdtemp(folder) != nullptr);
  const std::string inside = std::string{folder} + "/file";
  const int result = in_child([&] {
    const int fd = ::open(folder, O_RDONLY | O_DIRECTORY);
    if (!harden_process()) return 90;
    const auto done = restrict_files_to(std::array{fd});
    if (!done) return done.error().kind() == qpop::base::ErrorKind::unsupported ? 77 : 91;
    if (::open(inside.c_str(), O_CREAT | O_RDWR, 0600) < 0) return 1;
    if (::open("/etc/passwd", O_RDONLY) >= 0) return 2;
    if (::open("/tmp/qpop-outside", O_CREAT | O_RDWR, 0600) >= 0) return 3;
    return 0;
  });
  ::unlink(inside.c_str());
  ::rmdir(folder);
  if (result == 77) BOOST_TEST_MESSAGE("SKIPPED: no Landlock");
  BOOST_TEST((result == 0 || result == 77), result);
}

BOOST_AUTO_TEST_CASE(file_roles_cannot_reach_out) {
  const auto refused = [](const std::function<int()>& attempt) {
    return in_child([&] {
      if (!harden_process() || !restrict_calls_of_file_role()) return 90;
      return attempt() < 0 && errno == EPERM ? 0 : 1;
    });
  };
  BOOST_TEST(refused([] { return ::socket(AF_INET, SOCK_STREAM, 0); }) == 0);
  BOOST_TEST(refused([] { return ::execl("/bin/true", "true", nullptr); }) == 0);
  BOOST_TEST(refused([] { return ::setuid(0); }) == 0);
}

BOOST_AUTO_TEST_CASE(no_descriptor_is_left_but_those_named) {
  BOOST_TEST(in_child([] {
               const int kept = ::open("/dev/null", O_RDONLY);
               const int lost = ::open("/dev/null", O_RDONLY);
               const int far = ::fcntl(kept, F_DUPFD, 200);
               close_all_except(std::array{far, kept});
               if (::fcntl(lost, F_GETFD) != -1 || ::fcntl(kept, F_GETFD) == -1 || ::fcntl(far, F_GETFD) == -1) return 1;
               for (int fd = 3; fd < 1000; ++fd) {
                 if (fd != kept && fd != far && ::fcntl(fd, F_GETFD) != -1) return 2;
               }
               return 0;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(a_confined_role_is_its_user_and_has_what_was_kept) {
  const bool root = ::geteuid() == 0;
  const uid_t uid = root ? kUid : ::getuid();
  char folder[] = "/tmp/qpop-root.XXXXXX";
  BOOST_REQUIRE(::mkdtemp(folder) != nullptr);
  ::chmod(folder, 0755);
  for (const bool empty_root : {false, true}) {
    if (empty_root && !root) continue;
    const int result = in_child([&] {
      const int kept = ::open("/dev/null", O_RDONLY);
      const int lost = ::open("/dev/null", O_RDONLY);
      const int far = ::fcntl(lost, F_DUPFD, 200);
      if (!confine({.keep = std::array{kept, -1}, .empty_root = empty_root ? folder : "", .uid = uid, .gid = root ? uid : ::getgid()})) return 1;
      if (::getuid() != uid || ::geteuid() != uid || ::setuid(0) == 0) return 2;
      if (::fcntl(kept, F_GETFD) == -1 || ::fcntl(lost, F_GETFD) != -1 || ::fcntl(far, F_GETFD) != -1) return 3;
      if (::prctl(PR_GET_DUMPABLE) != 0 || ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 4;
      if (char octet = 0; ::read(STDIN_FILENO, &octet, 1) != 0) return 5;
      return (::open("/etc/passwd", O_RDONLY) < 0) == empty_root ? 0 : 6;
    });
    BOOST_TEST(result == 0, result);
  }
  ::rmdir(folder);
}

BOOST_AUTO_TEST_CASE(a_role_that_cannot_drop_is_told_to_end) {
  BOOST_TEST(in_child([] {
               if (::geteuid() == 0 && !drop_to(kUid, kUid)) return 1;
               return confine({.keep = {}, .uid = kUid + 1, .gid = kUid}).has_value() ? 2 : 0;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(walls_stand_around_files_resources_and_calls) {
#if !QPOP_SANITIZED
  const auto walled = [](const Limits& limits, Calls calls, const std::function<int()>& attempt) {
    return in_child([&] {
      const int folder = ::open("/dev", O_RDONLY | O_DIRECTORY);
      const int file = ::open("/dev/null", O_RDONLY);
      if (!harden_process() || ::fcntl(file, F_DUPFD, 300) != 300 || !wall_in(limits, std::array{folder}, calls)) return 90;
      return attempt();
    });
  };
  const int killed = 1000 + SIGSYS;
  BOOST_TEST(walled({}, Calls::session, [] { return ::open("/dev/null", O_RDONLY) >= 0 ? 1 : 0; }) == killed);
  BOOST_TEST(walled({}, Calls::session, [] { return ::read(300, nullptr, 0) == 0 ? 7 : 8; }) == 7);
  BOOST_TEST(walled({}, Calls::file_role, [] { return ::open("/dev/null", O_RDONLY) >= 0 ? 7 : 8; }) == 7);
  BOOST_TEST(walled({}, Calls::file_role, [] { return ::socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM ? 7 : 8; }) == 7);
  const auto missing = missing_kernel_features();
  if (std::ranges::find(missing, "Landlock") == missing.end()) BOOST_TEST(walled({}, Calls::file_role, [] { return ::open("/etc/passwd", O_RDONLY) < 0 ? 7 : 8; }) == 7);
  const auto limit = [](__rlimit_resource_t what) {
    rlimit value{};
    return ::getrlimit(what, &value) == 0 ? value.rlim_max : 0;
  };
  BOOST_TEST(walled({.no_new_files = true, .cpu_seconds = 5}, Calls::file_role, [&] {
               return limit(RLIMIT_FSIZE) == 0 && limit(RLIMIT_NPROC) == 0 && limit(RLIMIT_CPU) == 5 ? 7 : 8;
             }) == 7);
  BOOST_TEST(walled({}, Calls::file_role, [&] { return limit(RLIMIT_FSIZE) != 0 && limit(RLIMIT_CPU) != 5 ? 7 : 8; }) == 7);
#endif
}

}  // namespace
