// SPDX-License-Identifier: MIT
// Whole transfers.
#include "common/files/io.h"

#include <algorithm>
#include <vector>

namespace qpop::files {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;

Result<std::size_t> read_up_to(FileSystem& fs, int fd, std::span<char> out, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < out.size()) {
    auto got = again([&] { return fs.read_at(fd, out.subspan(done), offset + done); });
    if (!got) return got.error();
    if (*got == 0) break;
    done += *got;
  }
  return done;
}

Status read_exactly(FileSystem& fs, int fd, std::span<char> out, std::uint64_t offset) {
  auto got = read_up_to(fs, fd, out, offset);
  if (!got) return got.error();
  if (*got < out.size()) return Error{ErrorKind::changed, "the file is shorter than it was"};
  return {};
}

Status write_all(FileSystem& fs, int fd, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    auto put = again([&] { return fs.write_at(fd, bytes, offset); });
    if (!put) return put.error();
    if (*put == 0) return Error::from_errno(EIO, "pwrite of nothing");
    bytes.remove_prefix(*put);
    offset += *put;
  }
  return {};
}

Status for_each_piece(FileSystem& fs, int fd, std::uint64_t from, std::uint64_t to,
                      const std::function<Status(std::string_view)>& take) {
  std::vector<char> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(kChunk, to - from)));
  while (from < to) {
    const std::span<char> piece{buffer.data(),
                                static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), to - from))};
    if (auto read = read_exactly(fs, fd, piece, from); !read) return read;
    if (auto taken = take({piece.data(), piece.size()}); !taken) return taken;
    from += piece.size();
  }
  return {};
}

void write_behind(FileSystem& fs, int fd, std::uint64_t before, std::uint64_t now) {
  constexpr std::uint64_t kBlock = 8UL * 1024 * 1024;
  const std::uint64_t begin = before / kBlock * kBlock;
  const std::uint64_t end = now / kBlock * kBlock;
  if (begin < end) fs.start_writing(fd, begin, end - begin);
}

Status copy_octets(FileSystem& fs, int from_fd, std::uint64_t from, int to_fd, std::uint64_t to, std::uint64_t length,
                   const std::function<void(std::string_view)>& seen) {
  std::vector<char> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(kChunk, length)));
  while (length > 0) {
    const std::span<char> piece{buffer.data(),
                                static_cast<std::size_t>(std::min<std::uint64_t>({buffer.size(), length, kChunk - to % kChunk}))};
    if (auto read = read_exactly(fs, from_fd, piece, from); !read) return read;
    const std::string_view octets{piece.data(), piece.size()};
    seen(octets);
    if (auto put = write_all(fs, to_fd, octets, to); !put) return put;
    write_behind(fs, to_fd, to, to + piece.size());
    from += piece.size();
    to += piece.size();
    length -= piece.size();
  }
  return {};
}

Status remove_if_present(FileSystem& fs, int folder, const std::string& name) {
  auto removed = again([&] { return fs.unlink_at(folder, name); });
  if (!removed && removed.error().kind() == ErrorKind::not_found) return {};
  return removed;
}

Result<bool> exists(FileSystem& fs, int folder, const std::string& name) {
  auto status = again([&] { return fs.status_at(folder, name); });
  if (status) return true;
  if (status.error().kind() == ErrorKind::not_found) return false;
  return status.error();
}

Result<std::string> read_before(FileSystem& fs, int fd, std::uint64_t end, std::uint64_t most) {
  std::string bytes(static_cast<std::size_t>(std::min(end, most)), '\0');
  if (auto read = read_exactly(fs, fd, bytes, end - bytes.size()); !read) return read.error();
  return bytes;
}

}  // namespace qpop::files
