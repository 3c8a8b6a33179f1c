// SPDX-License-Identifier: MIT
// Rules for a spool as a file.
#include "common/spool/spool_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/mbox/from_line.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;

std::string_view type_name(std::uint32_t mode) {
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a fifo";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

Status check_spool(const FileStatus& status, std::uint32_t owner) {
  if (!S_ISREG(status.mode)) return Error{ErrorKind::unsafe, fmt::format("the spool is {}", type_name(status.mode))};
  if (status.owner != owner) {
    return Error{ErrorKind::unsafe, fmt::format("the spool belongs to uid {}, not {}", status.owner, owner)};
  }
  if (status.links > 1) return Error{ErrorKind::unsafe, fmt::format("the spool has {} links", status.links)};
  return {};
}

/// `before`: the last three octets, or all when the file is shorter.
bool ends_with_empty_line(std::string_view before) {
  return before.empty() || before == "\n" || before == "\r\n" || before.ends_with("\n\n") || before.ends_with("\n\r\n");
}

}  // namespace

Result<UniqueFd> open_spool(FileSystem& fs, const MaildropPaths& paths, int flags) {
  // Looked at before it is opened: opening a device can have effects, and an error of open() does not say what is
  // there.
  auto named = again([&] { return fs.status_at(paths.spool_folder_fd, paths.spool_name); });
  if (!named) return named.error();
  if (auto fit = check_spool(*named, paths.owner_uid); !fit) return fit.error();
  // Reading is not "the user has read his mail": mailers compare atime with mtime. Only an owner may ask for that.
  const auto open = [&](int extra) {
    return again([&] { return fs.open_at(paths.spool_folder_fd, paths.spool_name, flags | extra | O_NONBLOCK, 0); });
  };
  auto fd = open(O_NOATIME);
  if (!fd && fd.error().errno_value() == EPERM) fd = open(0);
  if (!fd) return fd.error();
  auto opened = again([&] { return fs.status(fd->get()); });
  if (!opened) return opened.error();
  if (auto fit = check_spool(*opened, paths.owner_uid); !fit) return fit.error();
  return fd;
}

Status sync_spool_name(FileSystem& fs, const MaildropPaths& paths) {
  auto synced = again([&] { return fs.sync_directory(paths.spool_folder_fd); });
  if (synced || synced.error().errno_value() == EBADF || synced.error().errno_value() == EINVAL) return {};
  return synced.error().at("sync the spool folder");
}

Status make_spool(FileSystem& fs, const MaildropPaths& paths) {
  const int flags = O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK;
  auto fd = again([&] { return fs.open_at(paths.spool_folder_fd, paths.spool_name, flags, 0600); });
  if (!fd && fd.error().errno_value() != EEXIST) return fd.error();
  // Who delivers into it syncs the file, not the name that he found.
  return sync_spool_name(fs, paths);
}

void note_time(const Context& context, const MaildropPaths& paths, const char* name) {
  auto fd = again([&] { return context.fs.open_at(paths.state_folder_fd, name, O_WRONLY | O_CREAT | O_NONBLOCK, 0600); });
  if (!fd) return;
  const auto now = context.clock.realtime_ns();
  static_cast<void>(again([&] { return context.fs.set_times(fd->get(), now, now); }));
}

Result<std::uint64_t> size_of(FileSystem& fs, int fd) {
  auto status = again([&] { return fs.status(fd); });
  if (!status) return status.error();
  return status->identity.size;
}

Result<bool> boundary_at(FileSystem& fs, int fd, std::uint64_t offset, listing::SpoolFormat format) {
  constexpr std::string_view kMmdfSeparator = "\x01\x01\x01\x01";
  constexpr std::size_t kLine = mbox::kMaxPostmark + 2;
  auto before = read_before(fs, fd, offset, 3);
  if (!before) return before.error();
  std::array<char, kLine> buffer{};
  auto got = read_up_to(fs, fd, buffer, offset);
  if (!got) return got.error();
  const std::string_view behind{buffer.data(), *got};
  const auto end = behind.find('\n');
  if (behind.empty() || (end == std::string_view::npos && behind.size() == kLine)) return false;
  auto line = behind.substr(0, end);
  if (format == listing::SpoolFormat::mmdf) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line == kMmdfSeparator && (offset == 0 || before->ends_with('\n'));
  }
  return ends_with_empty_line(*before) && mbox::is_from_line(line);
}

Result<std::string> missing_end(FileSystem& fs, int fd, std::uint64_t end, listing::SpoolFormat format,
                                std::uint8_t last_trailer) {
  auto before = read_before(fs, fd, end, 3);
  if (!before) return before.error();
  const bool line_ends = before->empty() || before->ends_with('\n');
  if (format == listing::SpoolFormat::mmdf) {
    if (last_trailer == 0) return std::string{line_ends ? "" : "\n"} + "\x01\x01\x01\x01\n";
    return std::string{line_ends ? "" : "\n"};
  }
  if (ends_with_empty_line(*before)) return std::string{};
  return std::string{line_ends ? "\n" : "\n\n"};
}

}  // namespace qpop::spool
