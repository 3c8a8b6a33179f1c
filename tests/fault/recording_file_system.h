// SPDX-License-Identifier: MIT
// Records what an operation does to the disk, and shows the disks that a power loss at any point can leave.
//
// Model: a write is kept or lost sector by sector until its file was synced; a change of size likewise; creating,
// renaming and removing names happens in order, and any number of the last ones is lost until the folder was synced.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/fault/fault_file_system.h"
#include "tests/fault/maildrop_fixture.h"

namespace qpop::test {

/// Names of the state folder and "spool" for the spool; lock files do not take part.
using Disk = std::map<std::string, std::string>;

class RecordingFileSystem : public FaultFileSystem {
 public:
  explicit RecordingFileSystem(FakeClock& clock, Fault fault = {}) : FaultFileSystem(clock, fault) {}

  void start(const MaildropFixture& drop) {
    state_folder_ = drop.state_folder();
    spool_folder_ = drop.spool_folder();
    std::vector<std::string> names = drop.state_names();
    for (const auto& name : names) add_file(name, MaildropFixture::read_file(drop.state_path(name)));
    add_file("spool", drop.spool());
  }
  [[nodiscard]] std::size_t steps() const { return steps_.size(); }
  /// One line for each step, for the message of a failed test.
  [[nodiscard]] std::string story() const {
    static constexpr std::array kNames{"create", "write", "truncate", "sync", "rename", "unlink", "sync folder"};
    std::string out;
    for (const auto& step : steps_) {
      out += std::string{"\n  "} + kNames[static_cast<std::size_t>(step.kind)] + " file " + std::to_string(step.file) +
             " " + step.name + " " + step.to + " at " + std::to_string(step.offset) + ", " +
             std::to_string(step.bytes.size()) + " octets";
    }
    return out;
  }

  /// A delivery agent appends to the spool and syncs its own octets, nothing else.
  void deliver(const MaildropFixture& drop, const std::string& bytes) {
    steps_.push_back({.kind = Step::Kind::write,
                      .file = now_.at("spool"),
                      .offset = drop.spool().size(),
                      .bytes = bytes,
                      .durable = true});
    MaildropFixture::append_file(drop.spool_path(), bytes);
  }

  /// A disk after a power loss behind the first `done` steps.
  [[nodiscard]] Disk after_power_loss(std::size_t done, std::mt19937& random) const {
    std::vector<std::string> files = initial_;
    for (std::size_t file = 0; file < files.size(); ++file) apply_data(files[file], file, done, random);
    Disk disk;
    for (const auto& [name, file] : names_after(done, random)) disk[name] = files[file];
    return disk;
  }

  base::Result<base::UniqueFd> open_at(int folder, const std::string& name, int flags, unsigned mode) override {
    auto fd = FaultFileSystem::open_at(folder, name, flags, mode);
    if (fd) fds_.erase(fd->get());  // descriptors are closed behind our back
    if (!fd || (folder != state_folder_ && name != "ada")) return fd;
    const std::string key = folder == state_folder_ ? name : "spool";
    if (now_.find(key) == now_.end()) {
      initial_.emplace_back();
      now_[key] = initial_.size() - 1;
      steps_.push_back({.kind = Step::Kind::create, .file = now_[key], .name = key});
    } else if ((flags & O_TRUNC) != 0) {
      steps_.push_back({.kind = Step::Kind::truncate, .file = now_[key]});
    }
    fds_[fd->get()] = now_[key];
    return fd;
  }
  base::Result<std::size_t> write_at(int fd, std::string_view bytes, std::uint64_t offset) override {
    auto put = FaultFileSystem::write_at(fd, bytes, offset);
    const auto file = fds_.find(fd);
    if (put && file != fds_.end()) {
      steps_.push_back({.kind = Step::Kind::write,
                        .file = file->second,
                        .offset = offset,
                        .bytes = std::string{bytes.substr(0, *put)}});
    }
    return put;
  }
  base::Status truncate(int fd, std::uint64_t size) override {
    return noted(FaultFileSystem::truncate(fd, size), Step::Kind::truncate, fd, size);
  }
  base::Status allocate(int fd, std::uint64_t size) override {
    return noted(FaultFileSystem::allocate(fd, size), Step::Kind::truncate, fd, size);
  }
  base::Status sync_data(int fd) override { return noted(FaultFileSystem::sync_data(fd), Step::Kind::sync, fd, 0); }
  base::Status sync(int fd) override { return noted(FaultFileSystem::sync(fd), Step::Kind::sync, fd, 0); }
  base::Status sync_directory(int folder) override {
    auto done = FaultFileSystem::sync_directory(folder);
    if (done && folder == state_folder_) steps_.push_back({.kind = Step::Kind::sync_folder});
    return done;
  }
  base::Status rename_at(int folder, const std::string& from, const std::string& to) override {
    auto done = FaultFileSystem::rename_at(folder, from, to);
    if (done && folder == state_folder_) {
      now_[to] = now_[from];
      now_.erase(from);
      steps_.push_back({.kind = Step::Kind::rename, .name = from, .to = to});
    }
    return done;
  }
  base::Status unlink_at(int folder, const std::string& name) override {
    auto done = FaultFileSystem::unlink_at(folder, name);
    if (done && folder == state_folder_) {
      now_.erase(name);
      steps_.push_back({.kind = Step::Kind::unlink, .name = name});
    }
    return done;
  }

 private:
  struct Step {
    enum class Kind : std::uint8_t { create, write, truncate, sync, rename, unlink, sync_folder };
    Kind kind;
    std::size_t file = 0;
    std::uint64_t offset = 0;  ///< or size
    std::string bytes{};
    std::string name{};
    std::string to{};
    bool durable = false;
  };

  void add_file(const std::string& name, std::string bytes) {
    initial_.push_back(std::move(bytes));
    now_[name] = initial_.size() - 1;
    names_at_start_[name] = initial_.size() - 1;
  }

  base::Status noted(base::Status done, Step::Kind kind, int fd, std::uint64_t size) {
    const auto file = fds_.find(fd);
    if (done && file != fds_.end()) steps_.push_back({.kind = kind, .file = file->second, .offset = size});
    return done;
  }

  void apply_data(std::string& bytes, std::size_t file, std::size_t done, std::mt19937& random) const {
    std::size_t durable = 0;       // steps before are on the disk
    std::size_t durable_size = 0;  // changes of size before are: the inode was written with the delivery
    for (std::size_t i = 0; i < done; ++i) {
      if (steps_[i].file != file) continue;
      if (steps_[i].kind == Step::Kind::sync) durable = i;
      if (steps_[i].durable) durable_size = i;
    }
    const unsigned mood = static_cast<unsigned>(random() % 4);  // 0: all is lost, 1: all is kept, else each on its own
    const auto kept = [&](std::size_t i) {
      if (i < durable || steps_[i].durable || mood == 1) return true;
      if (steps_[i].kind == Step::Kind::truncate && i < durable_size) return true;
      return mood > 1 && random() % 2 == 0;
    };
    for (std::size_t i = 0; i < done; ++i) {
      const Step& step = steps_[i];
      if (step.file != file) continue;
      if (step.kind == Step::Kind::truncate && kept(i)) bytes.resize(step.offset, '\0');
      if (step.kind != Step::Kind::write) continue;
      for (std::uint64_t at = 0; at < step.bytes.size();) {
        const std::uint64_t size = std::min<std::uint64_t>(512 - (step.offset + at) % 512, step.bytes.size() - at);
        if (kept(i)) {
          if (bytes.size() < step.offset + at + size) bytes.resize(step.offset + at + size, '\0');
          bytes.replace(step.offset + at, size, step.bytes, at, size);
        }
        at += size;
      }
    }
  }

  [[nodiscard]] std::map<std::string, std::size_t> names_after(std::size_t done, std::mt19937& random) const {
    std::size_t durable = 0;
    std::vector<std::size_t> changes;
    for (std::size_t i = 0; i < done; ++i) {
      const auto kind = steps_[i].kind;
      if (kind == Step::Kind::sync_folder) durable = changes.size();
      if (kind == Step::Kind::create || kind == Step::Kind::rename || kind == Step::Kind::unlink) changes.push_back(i);
    }
    const std::size_t kept = durable + random() % (changes.size() - durable + 1);
    auto names = names_at_start_;
    for (std::size_t i = 0; i < kept; ++i) {
      const Step& step = steps_[changes[i]];
      if (step.kind == Step::Kind::create) names[step.name] = step.file;
      if (step.kind == Step::Kind::unlink) names.erase(step.name);
      if (step.kind == Step::Kind::rename) {
        names[step.to] = names[step.name];
        names.erase(step.name);
      }
    }
    return names;
  }

  int state_folder_ = -1;
  int spool_folder_ = -1;
  std::vector<std::string> initial_;  ///< content of each file before the first step
  std::map<std::string, std::size_t> names_at_start_;
  std::map<std::string, std::size_t> now_;
  std::map<int, std::size_t> fds_;
  std::vector<Step> steps_;
};

/// Puts a disk into an empty maildrop folder.
inline void restore(const MaildropFixture& drop, const Disk& disk) {
  for (const auto& [name, bytes] : disk)
    MaildropFixture::write_file(name == "spool" ? drop.spool_path() : drop.state_path(name), bytes);
}

}  // namespace qpop::test
