// SPDX-License-Identifier: MIT
// Trace lines. Runs as: the caller; lines are written through the open descriptor whatever the rights are then.
#include "popauth/trace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "common/base/text.h"
#include "common/base/unique_fd.h"
#include "common/log/log.h"

namespace qpop::popauth {

using base::Error;
using base::ErrorKind;

namespace {

base::UniqueFd g_file;
bool g_to_log = false;

}  // namespace

base::Status open_trace(const std::string& path) {
  const auto refuse = [&](const Error& error) { return error.at("trace file", base::escape_untrusted(path, 80)); };
  base::UniqueFd fd{
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600)};
  if (!fd.valid()) return refuse(Error::from_errno(errno, "open"));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return refuse(Error::from_errno(errno, "fstat"));
  if (!S_ISREG(status.st_mode) || status.st_nlink != 1 || status.st_uid != ::geteuid()) {
    return refuse(Error{ErrorKind::unsafe, "must be a regular file of your own with one name"});
  }
  g_file = std::move(fd);
  return {};
}

void trace_to_log() {
  g_to_log = true;
}

void trace(std::string_view text) {
  if (g_to_log) log::write(log::Severity::info, fmt::format("debug: {}", text));
  if (!g_file.valid()) return;
  const auto line = fmt::format("{} popauth[{}]: {}\n", ::time(nullptr), ::getpid(), text);
  [[maybe_unused]] const auto written = ::write(g_file.get(), line.data(), line.size());
}

}  // namespace qpop::popauth
