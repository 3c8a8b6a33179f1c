// SPDX-License-Identifier: MIT
#include "popper/maildrop/scan_process.h"

#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <exception>

#include "common/files/file_system.h"
#include "common/files/io.h"
#include "common/ipc/scan_messages.h"
#include "common/log/log.h"
#include "common/priv/confine.h"
#include "common/priv/drop.h"

namespace qpop::maildrop {

namespace {

using base::Error;
using base::ErrorKind;
using listing::Record;

constexpr int kTurnMs = 1000;

bool has_two_processors() {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  return ::sched_getaffinity(0, sizeof usable, &usable) == 0 && CPU_COUNT(&usable) > 1;
}

/// The records in a file of memory.
base::Result<base::UniqueFd> write_down(files::FileSystem& fs, std::span<const Record> records) {
  auto fd = files::again([&] { return fs.memory_file(); });
  if (!fd) return fd.error();
  if (auto put = files::write_all(fs, fd->get(), {reinterpret_cast<const char*>(records.data()), records.size_bytes()}, 0); !put) return put.error();
  return fd;
}

int scan(const ipc::Channel& parent, const spool::MaildropPaths& paths) {
  const auto frame = parent.receive();
  ipc::ScanPart wanted;
  if (!frame || !frame->read(wanted)) return 0;  // it was not needed
  files::SystemFileSystem fs;
  const auto is_wanted = [&parent] {
    const auto word = parent.receive(0);
    return !word && word.error().kind() == ErrorKind::busy;
  };
  const auto found = spool::scan_part(fs, paths, {.device = wanted.device, .inode = wanted.inode, .offset = wanted.offset, .end = wanted.end}, is_wanted);
  const auto file = found ? write_down(fs, *found) : base::Result<base::UniqueFd>{found.error()};
  if (!file) return parent.send(ipc::PartScanned{}) ? 0 : 3;
  const std::array<int, 1> descriptors{file->get()};
  return parent.send(ipc::PartScanned{.count = found->size()}, descriptors) ? 0 : 3;
}

int run(ipc::Channel parent, const spool::MaildropPaths& paths) {
  priv::set_process_name("popper-scan");
  // Its channel to the monitor is closed now.
  log::redirect([](log::Severity, std::string_view) {});
  const std::array<int, 2> keep{parent.fd(), paths.spool_folder_fd};
  priv::close_all_except(keep);
  const std::array<int, 1> reach{paths.spool_folder_fd};
  if (auto done = priv::wall_in({}, reach, priv::Calls::file_role); !done) return 3;
  return scan(parent, paths);
}

}  // namespace

std::unique_ptr<ScanProcess> ScanProcess::start(const spool::MaildropPaths& paths) {
  files::SystemFileSystem fs;
  if (!spool::wants_scan_helper(fs, paths) || !has_two_processors()) return nullptr;
  auto pair = ipc::Channel::pair();
  if (!pair) return nullptr;
  (void)::signal(SIGCHLD, SIG_IGN);  // nobody waits for it
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return nullptr;
  if (pid > 0) return std::unique_ptr<ScanProcess>{new ScanProcess{std::move(pair->first)}};  // NOLINT: the constructor is private
  pair->first.close();
  int code = 4;
  try {
    // A kernel that has given the parent's end to another process by now has no work for us.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::getppid() == parent) code = run(std::move(pair->second), paths);
  } catch (const std::exception&) {
    // The parent sees the end of the channel.
  }
  ::_exit(code);
}

bool ScanProcess::begin(const spool::ScanPart& part) {
  part_ = part;
  return channel_.send(ipc::ScanPart{.device = part.device, .inode = part.inode, .offset = part.offset, .end = part.end}, {}, false).has_value();
}

base::Result<std::vector<Record>> ScanProcess::finish(const std::function<void()>& meanwhile) {
  while (channel_.valid()) {
    const auto frame = channel_.receive(kTurnMs);
    meanwhile();
    if (!frame && frame.error().kind() == ErrorKind::busy) continue;
    if (!frame) return frame.error();
    ipc::PartScanned scanned;
    const bool usable = frame->read(scanned) && frame->descriptors.size() == 1 && scanned.count <= part_.end - part_.offset;
    if (!usable) return Error{ErrorKind::io, "the second half was not scanned"};
    files::SystemFileSystem fs;
    std::vector<Record> records(static_cast<std::size_t>(scanned.count));
    const std::span<char> octets{reinterpret_cast<char*>(records.data()), records.size() * sizeof(Record)};
    if (auto read = files::read_exactly(fs, frame->descriptors[0].get(), octets, 0); !read) return read.error();
    return records;
  }
  return Error{ErrorKind::io, "it was dismissed"};
}

}  // namespace qpop::maildrop
