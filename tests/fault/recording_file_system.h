// SPDX-License-Identifier: MIT
// Records what an operation does to the disk, for the model of power losses.
#pragma once

#include <fcntl.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/fault/disk_model.h"
#include "tests/fault/fault_file_system.h"
#include "tests/fault/maildrop_fixture.h"

namespace qpop::test {

class RecordingFileSystem : public FaultFileSystem {
 public:
  explicit RecordingFileSystem(FakeClock& clock, Fault fault = {}) : FaultFileSystem(clock, fault) {}

  /// What is in the folders now is what the disk holds at the beginning.
  void start(const MaildropFixture& drop) {
    state_folder_ = drop.state_folder();
    spool_folder_ = drop.spool_folder();
    for (const auto& name : drop.state_names()) add_file(name, MaildropFixture::read_file(drop.state_path(name)));
    if (::access(drop.spool_path().c_str(), F_OK) == 0) add_file("spool", drop.spool());
  }
  [[nodiscard]] const DiskStory& story() const { return story_; }
  [[nodiscard]] std::size_t steps() const { return story_.size(); }

  /// A delivery agent appends to the spool and syncs its own octets, nothing else.
  void deliver(const MaildropFixture& drop, const std::string& bytes) {
    if (now_.find("spool") == now_.end()) {
      create("spool");
      story_.add({.kind = DiskStep::Kind::sync_folder, .spool_folder = true});
    }
    story_.add({.kind = DiskStep::Kind::write,
                .file = now_.at("spool"),
                .offset = drop.spool().size(),
                .bytes = bytes,
                .durable = true});
    MaildropFixture::append_file(drop.spool_path(), bytes);
  }

  base::Result<base::UniqueFd> open_at(int folder, const std::string& name, int flags, unsigned mode) override {
    auto fd = FaultFileSystem::open_at(folder, name, flags, mode);
    if (fd) fds_.erase(fd->get());  // descriptors are closed behind our back
    if (!fd || !takes_part(folder, name)) return fd;
    const std::string key = key_of(folder, name);
    if (now_.find(key) == now_.end()) {
      create(key);
    } else if ((flags & O_TRUNC) != 0) {
      story_.add({.kind = DiskStep::Kind::truncate, .file = now_[key]});
    }
    fds_[fd->get()] = now_[key];
    return fd;
  }
  base::Result<base::UniqueFd> memory_file() override {
    auto fd = FaultFileSystem::memory_file();
    if (fd) fds_.erase(fd->get());
    return fd;
  }
  base::Result<base::UniqueFd> unnamed_file(int folder, unsigned mode) override {
    auto fd = FaultFileSystem::unnamed_file(folder, mode);
    if (fd) fds_.erase(fd->get());
    return fd;
  }
  base::Result<std::size_t> write_at(int fd, std::string_view bytes, std::uint64_t offset) override {
    const bool was_dead = dead();
    const auto file = fds_.find(fd);
    auto put = FaultFileSystem::write_at(fd, bytes, offset);
    if (file == fds_.end() || was_dead) return put;
    const std::uint64_t done = put ? *put : dead() ? left_by_dead_write() : 0;
    if (done > 0) {
      story_.add({.kind = DiskStep::Kind::write,
                  .file = file->second,
                  .offset = offset,
                  .bytes = std::string{bytes.substr(0, done)}});
    }
    return put;
  }
  base::Status truncate(int fd, std::uint64_t size) override {
    return noted(FaultFileSystem::truncate(fd, size), DiskStep::Kind::truncate, fd, size);
  }
  base::Status allocate(int fd, std::uint64_t size) override {
    struct stat before {};
    const bool grows = ::fstat(fd, &before) == 0 && static_cast<std::uint64_t>(before.st_size) < size;
    auto done = FaultFileSystem::allocate(fd, size);
    return grows ? noted(std::move(done), DiskStep::Kind::truncate, fd, size) : done;
  }
  base::Status sync_data(int fd) override {
    return synced(FaultFileSystem::sync_data(fd), DiskStep::Kind::sync_data, fd);
  }
  base::Status sync(int fd) override { return synced(FaultFileSystem::sync(fd), DiskStep::Kind::sync, fd); }
  base::Status sync_directory(int folder) override {
    auto done = FaultFileSystem::sync_directory(folder);
    if (done && (folder == state_folder_ || folder == spool_folder_))
      story_.add({.kind = DiskStep::Kind::sync_folder, .spool_folder = folder == spool_folder_});
    return done;
  }
  base::Status rename_at(int folder, const std::string& from, const std::string& to) override {
    auto done = FaultFileSystem::rename_at(folder, from, to);
    if (done && folder == state_folder_) {
      const std::size_t file = now_.at(from);
      now_[to] = file;
      now_.erase(from);
      story_.add({.kind = DiskStep::Kind::names, .names = {{from, std::nullopt}, {to, file}}});
    }
    return done;
  }
  base::Status link_at(int folder, const std::string& from, const std::string& to) override {
    auto done = FaultFileSystem::link_at(folder, from, to);
    if (done && folder == state_folder_) {
      now_[to] = now_.at(from);
      story_.add({.kind = DiskStep::Kind::names, .names = {{to, now_.at(from)}}});
    }
    return done;
  }
  base::Status unlink_at(int folder, const std::string& name) override {
    auto done = FaultFileSystem::unlink_at(folder, name);
    if (done && takes_part(folder, name)) {
      const std::string key = key_of(folder, name);
      now_.erase(key);
      story_.add(
          {.kind = DiskStep::Kind::names, .names = {{key, std::nullopt}}, .spool_folder = folder == spool_folder_});
    }
    return done;
  }

 private:
  [[nodiscard]] bool takes_part(int folder, const std::string& name) const {
    return folder == state_folder_ || (folder == spool_folder_ && name == "ada");
  }
  [[nodiscard]] std::string key_of(int folder, const std::string& name) const {
    return folder == state_folder_ ? name : "spool";
  }
  void add_file(const std::string& name, std::string bytes) {
    story_.add_file(name, std::move(bytes));
    now_[name] = files_++;
  }
  void create(const std::string& key) {
    now_[key] = story_.new_file();
    ++files_;
    story_.add({.kind = DiskStep::Kind::names, .names = {{key, now_[key]}}, .spool_folder = key == "spool"});
  }
  base::Status noted(base::Status done, DiskStep::Kind kind, int fd, std::uint64_t size) {
    const auto file = fds_.find(fd);
    if (done && file != fds_.end()) story_.add({.kind = kind, .file = file->second, .offset = size});
    return done;
  }
  base::Status synced(base::Status done, DiskStep::Kind kind, int fd) {
    const auto file = fds_.find(fd);
    if (file == fds_.end() || dead()) return done;
    const bool interrupted = !done && done.error().errno_value() == EINTR;
    if (!interrupted) story_.add({.kind = done ? kind : DiskStep::Kind::failed_sync, .file = file->second});
    return done;
  }

  int state_folder_ = -1;
  int spool_folder_ = -1;
  std::size_t files_ = 0;
  std::map<std::string, std::size_t> now_;
  std::map<int, std::size_t> fds_;
  DiskStory story_;
};

/// Puts a disk into a maildrop folder; a spool that was there keeps its inode.
inline void restore(const MaildropFixture& drop, const Disk& disk) {
  drop.clear(disk.contains("spool"));
  for (const auto& [name, bytes] : disk)
    MaildropFixture::write_file(name == "spool" ? drop.spool_path() : drop.state_path(name), bytes);
}

}  // namespace qpop::test
