// SPDX-License-Identifier: MIT
// libgdbm in a child. Runs as: root, or the owner of what is imported, until the caller gives up more.
#include "common/gdbm/records.h"

#include <fcntl.h>
#include <gdbm.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "common/base/secret.h"
#include "common/priv/child_call.h"

namespace qpop::gdbm {

using base::Error;
using base::ErrorKind;
using base::Result;

namespace {

constexpr std::uint32_t kMaxItem = 4096;  // name, or both secrets with their NULs
constexpr std::size_t kMaxRecords = 2'000'000;
constexpr std::size_t kMostOctets = 1UL << 30U;  // of all
constexpr rlim_t kCpuSeconds = 60;
constexpr int kRefused = 10, kTooLarge = 11, kNoWalls = 12, kFine = 0;

struct GdbmClose {
  void operator()(GDBM_FILE file) const { gdbm_close(file); }
};
struct Free {
  void operator()(char* data) const { std::free(data); }  // NOLINT: libgdbm's malloc
};
using Item = std::unique_ptr<char, Free>;

bool put(std::FILE* out, const datum& item) {
  const auto size = static_cast<std::uint32_t>(item.dsize);
  return std::fwrite(&size, sizeof size, 1, out) == 1 && (size == 0 || std::fwrite(item.dptr, size, 1, out) == 1);
}

bool is_possible(const datum& item) {
  return item.dsize >= 0 && static_cast<std::uint32_t>(item.dsize) <= kMaxItem;
}

int send_records(int fd, std::FILE* out) {
  const std::unique_ptr<std::remove_pointer_t<GDBM_FILE>, GdbmClose> file{
      gdbm_fd_open(fd, "import", 0, GDBM_READER | GDBM_NOLOCK, nullptr)};
  if (!file) return kRefused;
  datum key = gdbm_firstkey(file.get());
  for (std::size_t count = 0; key.dptr != nullptr; ++count) {
    const Item key_owner{key.dptr};
    const datum value = gdbm_fetch(file.get(), key);
    const Item value_owner{value.dptr};
    if (value.dptr == nullptr) return kRefused;
    if (count >= kMaxRecords || !is_possible(key) || !is_possible(value)) return kTooLarge;
    if (!put(out, key) || !put(out, value)) return kRefused;
    key = gdbm_nextkey(file.get(), key);
  }
  return gdbm_errno == GDBM_ITEM_NOT_FOUND || gdbm_errno == GDBM_NO_ERROR ? kFine : kRefused;
}

int work(int fd, int out, const GiveUpRights& give_up) {
  if (give_up && !give_up(out)) return kNoWalls;
  const rlimit cpu{kCpuSeconds, kCpuSeconds};
  ::setrlimit(RLIMIT_CPU, &cpu);
  // What libgdbm has to say about a damaged file is said by us.
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (null >= 0) ::dup2(null, STDERR_FILENO);
  std::FILE* const stream = ::fdopen(out, "w");
  const int code = stream != nullptr ? send_records(fd, stream) : kRefused;
  const bool flushed = stream != nullptr && std::fflush(stream) == 0;
  return flushed ? code : kRefused;
}

/// Length and octets; nothing at the end or when torn.
bool take(std::string_view& rest, std::string& item) {
  std::uint32_t size = 0;
  if (rest.size() < sizeof size) return false;
  std::memcpy(&size, rest.data(), sizeof size);
  if (size > kMaxItem || rest.size() - sizeof size < size) return false;
  item = rest.substr(sizeof size, size);
  rest.remove_prefix(sizeof size + size);
  return true;
}

std::uint32_t first_word(std::string_view head, std::size_t at) {
  std::uint32_t word = 0;
  if (head.size() >= at + sizeof word) std::memcpy(&word, head.data() + at, sizeof word);
  return word;
}

}  // namespace

bool is_berkeley_db(std::string_view head) {
  constexpr std::uint32_t kHash = 0x00061561, kTree = 0x00053162;
  for (const std::size_t at : {std::size_t{0}, std::size_t{12}}) {
    if (first_word(head, at) == kHash || first_word(head, at) == kTree) return true;
  }
  return false;
}

Result<base::UniqueFd> open_database(const std::string& file, const std::function<Result<base::UniqueFd>(const std::string&)>& open) {
  auto fd = open(file);
  if (fd || fd.error().kind() != ErrorKind::not_found) return fd;
  auto pag = open(file + ".pag");
  return pag || pag.error().kind() != ErrorKind::not_found ? std::move(pag) : std::move(fd);
}

Result<Pairs> read_records(int fd, const GiveUpRights& give_up) {
  auto answer = priv::ask_child(kMostOctets, [&](int out) { return work(fd, out, give_up); });
  const Error too_large{ErrorKind::limit, "too many or too large records"};
  if (!answer) return answer.error().kind() == ErrorKind::limit ? too_large : answer.error();
  if (answer->was_killed()) return Error{ErrorKind::malformed, "the gdbm file is damaged: libgdbm died of it"};
  if (answer->ended_with(kTooLarge)) return too_large;
  if (answer->ended_with(kNoWalls)) return Error{ErrorKind::denied, "rights could not be given up"};
  if (!answer->ended_with(kFine)) return Error{ErrorKind::malformed, "libgdbm cannot read the file: not one of its own, damaged, or of another byte order"};
  Pairs pairs;
  std::string_view rest{answer->octets};
  std::string key, value;
  while (take(rest, key) && take(rest, value)) pairs.emplace_back(key, value);
  base::wipe(answer->octets.data(), answer->octets.size());
  return pairs;
}

}  // namespace qpop::gdbm
