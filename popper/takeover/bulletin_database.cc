// SPDX-License-Identifier: MIT
// The bulletin database of the original, user by user.
// Runs as: root, or the user who started it; children become who they work for.
#include "popper/takeover/bulletin_database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/files/dotlock.h"
#include "common/files/file_system.h"
#include "common/gdbm/records.h"
#include "common/log/log.h"
#include "common/priv/child_call.h"
#include "common/priv/confine.h"
#include "common/priv/drop.h"
#include "common/spool/locks.h"
#include "popper/maildrop/bulletins.h"
#include "popper/maildrop/user_rules.h"
#include "popper/takeover/takeover.h"

namespace qpop::takeover {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;

constexpr unsigned kMostSeconds = 60;  // for one user, whose option files may lie on a server that is gone
constexpr std::size_t kMostOctets = 1000;
constexpr const char* kWritten = "written";

Result<UniqueFd> open_file(const std::string& path) {
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (!fd.valid() && errno == ENOENT) return Error{ErrorKind::not_found, "no such file, and none with .pag behind its name"};
  if (!fd.valid()) return Error::from_errno(errno, "open");
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, "fstat");
  if (!S_ISREG(status.st_mode)) return Error{ErrorKind::unsafe, "not a regular file"};
  return fd;
}

Result<gdbm::Pairs> read_database(const BulletinTask& task) {
  const auto fd = gdbm::open_database(task.path, open_file);
  if (!fd) return fd.error();
  std::array<char, 16> head{};
  const ssize_t got = ::pread(fd->get(), head.data(), head.size(), 0);
  if (got > 0 && gdbm::is_berkeley_db({head.data(), static_cast<std::size_t>(got)})) {
    return Error{ErrorKind::unsupported, "a Berkeley DB file; dump it with its own tools, and put each number into a USER.popbull in the folder of popbull-dir"};
  }
  return gdbm::read_records(fd->get(), [&](int out) -> Status {
    const std::array<int, 2> keep{out, fd->get()};
    if (auto done = priv::confine({.keep = keep, .uid = task.uid, .gid = task.gid}); !done) return done;
    return priv::wall_in({}, {}, priv::Calls::file_role);
  });
}

/// With the user's rights. True: written.
Result<bool> raise(const maildrop::Job& job, std::uint64_t number) {
  if (auto dropped = priv::drop_to(job.uid, job.gid); !dropped) return dropped.error();
  if (auto hardened = priv::harden_process(); !hardened) return hardened.error();
  const auto rules = maildrop::read_user_rules(job);
  const UniqueFd state{::open(job.state_folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!state.valid()) return Error::from_errno(errno, "open").at("folder", job.state_folder);
  files::SystemFileSystem fs;
  base::SystemClock clock;
  files::DirectDotlock none{fs, clock, state.get(), maildrop::kBulletinName};  // no spool is locked
  // A session that is open notes a number of its own.
  const auto session = spool::lock_session({fs, clock, none}, state.get(), spool::MaildropSettings{}.open_timeout_ms);
  if (!session) return session.error();
  return maildrop::raise_number(fs, state.get(), rules.settings, job, number);
}

Result<bool> raise_in_child(const maildrop::Job& job, std::uint64_t number) {
  const auto answer = priv::call_in_child(kMostOctets, [&](int) -> Result<std::string> {
    (void)::signal(SIGALRM, SIG_DFL);
    (void)::alarm(kMostSeconds);
    const auto raised = raise(job, number);
    if (!raised) return Error{raised.error().kind(), raised.error().message()};
    return *raised ? std::string{kWritten} : std::string{};
  });
  if (!answer) return answer.error();
  return *answer == kWritten;
}

class Import {
 public:
  explicit Import(const BulletinTask& task) : task_(task) {}

  int run(const gdbm::Pairs& pairs) {
    for (const auto& [key, value] : pairs) take(key, value);
    std::string text = fmt::format("{} users: {} taken over, {} had a number already, {} unknown", pairs.size(), written_, present_, unknown_);
    if (failed_ != 0) text += fmt::format(", {} not taken over", failed_);
    fmt::print("{}\n", text);
    return failed_ == 0 ? 0 : kFailed;
  }

 private:
  void take(std::string_view key, std::string_view value) {
    const auto record = parse_bulletin_record(key, value);
    if (!record) return fail(key.substr(0, key.size() - (key.ends_with('\0') ? 1 : 0)), record.error());
    const auto job = task_.find(record->name);
    if (!job && job.error().kind() == ErrorKind::denied) {
      ++unknown_;
      return log::warning("{}: skipped: {}", base::escape_word(record->name), base::escape_untrusted(job.error().message()));
    }
    const auto raised = job ? raise_in_child(*job, record->number) : Result<bool>{job.error()};
    if (!raised) return fail(record->name, raised.error());
    ++(*raised ? written_ : present_);
  }
  void fail(std::string_view name, const Error& error) {
    ++failed_;
    log::error("{}: number of the last bulletin: {}", base::escape_word(name), base::escape_untrusted(error.message(), kMostOctets));
  }

  const BulletinTask& task_;
  std::size_t written_ = 0, present_ = 0, unknown_ = 0, failed_ = 0;
};

}  // namespace

Result<UserNumber> parse_bulletin_record(std::string_view key, std::string_view value) {
  if (key.ends_with('\0')) key.remove_suffix(1);
  if (key.empty() || key.find('\0') != std::string_view::npos) return Error{ErrorKind::malformed, "not a user name"};
  std::int64_t number = 0;
  if (value.size() == sizeof(std::int32_t)) {
    std::int32_t word = 0;
    std::memcpy(&word, value.data(), sizeof word);
    number = word;
  } else if (value.size() == sizeof number) {
    std::memcpy(&number, value.data(), sizeof number);
  } else {
    return Error{ErrorKind::malformed, fmt::format("a value of {} octets, where a number has 4 or 8", value.size())};
  }
  if (number < 0 || static_cast<std::uint64_t>(number) > maildrop::kMostNumber) {
    return Error{ErrorKind::malformed, fmt::format("{} is not the number of a bulletin", number)};
  }
  return UserNumber{std::string{key}, static_cast<std::uint64_t>(number)};
}

int import_bulletin_numbers(const BulletinTask& task) {
  const auto pairs = read_database(task);
  if (!pairs) {
    log::fatal("{}", pairs.error().at("import the bulletin database", task.path).message());
    return kFailed;
  }
  return Import{task}.run(*pairs);
}

}  // namespace qpop::takeover
