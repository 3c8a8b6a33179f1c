// SPDX-License-Identifier: MIT
// Runs as: the owner of the mail. Only looks; never opens what is not a regular file.
#include "popcheck/surroundings.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "common/base/text.h"
#include "common/files/dotlock.h"
#include "common/files/io.h"
#include "common/listing/listing.h"
#include "common/spool/context.h"
#include "common/spool/index.h"

namespace qpop::popcheck {

namespace {

using check::Finding;
using check::Id;

class Look {
 public:
  Look(files::FileSystem& fs, const Target& target, int folder, int state, std::int64_t now_ns)
      : fs_(fs), target_(target), folder_(folder), state_(state), now_ns_(now_ns) {}

  std::vector<Finding> run() {
    auto spool = fs_.status_at(folder_, target_.name);
    if (spool) look_at_spool(*spool);
    look_at_lock();
    look_for_drop();
    if (state_ >= 0) look_at_state(spool ? &*spool : nullptr);
    return std::move(out_);
  }

 private:
  void add(Id id, std::string detail) {
    Finding finding;
    finding.id = id;
    finding.detail = std::move(detail);
    out_.push_back(std::move(finding));
  }

  void look_at_spool(const files::FileStatus& status) {
    if (!S_ISREG(status.mode)) return add(Id::not_a_file, S_ISLNK(status.mode) ? "a symbolic link" : S_ISDIR(status.mode) ? "a folder" : "a device, fifo or socket");
    if (status.owner != target_.uid) add(Id::wrong_owner, fmt::format("uid {}, not {}", status.owner, target_.uid));
    if (status.links > 1) add(Id::hard_link, fmt::format("{} names", status.links));
    if ((status.mode & 07U) != 0) add(Id::wrong_mode, fmt::format("mode {:o}", status.mode & 07777U));
    struct stat spool {};
    struct stat folder {};
    if (::fstatat(folder_, target_.name.c_str(), &spool, AT_SYMLINK_NOFOLLOW) != 0 || ::fstat(folder_, &folder) != 0) return;
    if (spool.st_gid != target_.gid && spool.st_gid != folder.st_gid) add(Id::wrong_group, fmt::format("gid {}", spool.st_gid));
  }

  void look_at_lock() {
    auto lock = files::look_at_lock(fs_, now_ns_, folder_, target_.name + ".lock");
    if (!lock || !lock->stale) return;
    add(Id::stale_lock, fmt::format("{}.lock, {} s old{}", base::escape_untrusted(target_.path(), 160), lock->age_ms / 1000,
                                    lock->pid > 0 ? fmt::format(", of process {}, which is gone", lock->pid) : ""));
  }

  void look_for_drop() {
    for (const auto& path : target_.drops) {
      struct stat drop {};
      if (::lstat(path.c_str(), &drop) == 0 && S_ISREG(drop.st_mode) && drop.st_size > 0)
        add(Id::temporary_drop, fmt::format("{} octets in {}", drop.st_size, base::escape_untrusted(path, 160)));
    }
  }

  void look_at_state(const files::FileStatus* spool) {
    if (auto journal = fs_.status_at(state_, spool::kJournalName)) add(Id::left_journal, fmt::format("{} octets", journal->identity.size));
    const int copy = ::openat(state_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, decltype([](DIR* dir) { ::closedir(dir); })> dir{copy < 0 ? nullptr : ::fdopendir(copy)};
    while (const dirent* entry = dir == nullptr ? nullptr : ::readdir(dir.get())) {
      if (std::string_view{entry->d_name}.starts_with("saved-")) add(Id::saved_journal, base::escape_untrusted(target_.state + "/" + entry->d_name, 200));
    }
    auto index = fs_.open_at(state_, spool::kIndexName, O_RDONLY | O_NONBLOCK, 0);
    if (!index || spool == nullptr) return;
    listing::ListingHeader header;
    const std::span<char> octets{reinterpret_cast<char*>(&header), sizeof header};
    auto size = fs_.status(index->get());
    if (!size || !files::read_exactly(fs_, index->get(), octets, 0) || !listing::check_header(header, size->identity.size)) return add(Id::stale_index, "it is not whole");
    if (!(header.spool == spool->identity)) add(Id::stale_index, spool->identity.size > header.spool.size ? "mail came since" : "the spool was rewritten since");
  }

  files::FileSystem& fs_;
  const Target& target_;
  int folder_;
  int state_;
  std::int64_t now_ns_;
  std::vector<Finding> out_;
};

}  // namespace

std::vector<Finding> look_around(files::FileSystem& fs, const Target& target, int folder, int state, std::int64_t now_ns) {
  return Look{fs, target, folder, state, now_ns}.run();
}

}  // namespace qpop::popcheck
