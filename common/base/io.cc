// SPDX-License-Identifier: MIT
// Whole transfers.
#include "common/base/io.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/base/secret.h"

namespace qpop::base {

namespace {

/// Growing by itself, a string would leave what it held before on the heap.
void append_wiping(std::string& text, std::string_view more) {
  if (text.capacity() - text.size() < more.size()) {
    std::string larger;
    larger.reserve(std::max(text.size() + more.size(), 2 * text.capacity()));
    larger.append(text);
    wipe(text.data(), text.size());
    text.swap(larger);
  }
  text.append(more);
}

}  // namespace

Result<std::string> read_whole(int fd, std::size_t most) {
  std::string text;
  std::array<char, 65536> buffer{};
  Status done;
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) done = Error::from_errno(errno, "read");
    if (got <= 0) break;
    append_wiping(text, {buffer.data(), static_cast<std::size_t>(got)});
    if (text.size() <= most) continue;
    done = Error{ErrorKind::limit, "longer than it may be"};
    break;
  }
  wipe(buffer.data(), buffer.size());
  if (done) return text;
  wipe(text.data(), text.size());
  return done.error();
}

Status write_whole(int fd, std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t put = ::write(fd, octets.data(), octets.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Error::from_errno(errno, "write");
    octets.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

Result<UniqueFd> make_memory_file(const char* label) {
  UniqueFd fd{::memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!fd.valid()) return Error::from_errno(errno, "memfd_create");
  return fd;
}

}  // namespace qpop::base
