// SPDX-License-Identifier: MIT
// What a disk may hold after a power loss.
#include "tests/fault/disk_model.h"

#include <algorithm>
#include <array>

namespace qpop::test {

namespace {

constexpr std::uint64_t kSector = 512;
using Kind = DiskStep::Kind;

/// One file: what its reader saw last (the page cache), and what is on the disk.
class Pages {
 public:
  /// `is_spool`: a disk writes whole sectors, and what was not written reads as zeros. Not so for the state, where
  /// checksums must notice anything.
  Pages(const std::string& bytes, bool is_spool, std::mt19937& random)
      : cache_(bytes),
        disk_(bytes),
        torn_(!is_spool && random() % 2 == 0),
        rubbish_(!is_spool && random() % 2 == 0),
        random_(random) {}

  void write(std::uint64_t offset, const std::string& bytes) {
    if (cache_.size() < offset + bytes.size()) cache_.resize(offset + bytes.size(), '\0');
    cache_.replace(offset, bytes.size(), bytes);
    grow();
  }
  void resize(std::uint64_t size) {
    cache_.resize(size, '\0');
    if (disk_.size() < size) disk_.resize(size, '\0');  // no file system shows rubbish where nothing was written
  }
  /// The sectors of [from, to) reach the disk: all of them, or each with the odds given (of 4).
  void write_back(std::uint64_t from, std::uint64_t to, bool certain, unsigned odds) {
    to = std::min<std::uint64_t>(to, cache_.size());
    for (std::uint64_t at = from / kSector * kSector; at < to; at += kSector) {
      if (!certain && random_() % 4 >= odds) continue;
      const std::uint64_t size = std::min<std::uint64_t>(kSector, cache_.size() - at);
      std::uint64_t skip = 0;
      std::uint64_t length = size;
      if (!certain && torn_ && random_() % 4 == 0) {
        length = size / 2;
        skip = random_() % 2 == 0 ? 0 : size - length;
      }
      disk_.replace(at + skip, length, cache_, at + skip, length);
    }
  }
  [[nodiscard]] std::string with_size(std::uint64_t size) {
    if (disk_.size() < size) disk_.resize(size, '\0');
    return disk_.substr(0, size);
  }
  [[nodiscard]] std::uint64_t size() const { return cache_.size(); }

 private:
  void grow() {
    const std::size_t old = disk_.size();
    if (old >= cache_.size()) return;
    disk_.resize(cache_.size(), '\0');
    if (!rubbish_) return;
    for (std::size_t i = old; i < disk_.size(); i += 7) disk_[i] = static_cast<char>(random_());
  }

  std::string cache_;
  std::string disk_;
  bool torn_;
  bool rubbish_;
  std::mt19937& random_;
};

}  // namespace

void DiskStory::add_file(const std::string& name, std::string bytes) {
  initial_.push_back(std::move(bytes));
  names_at_start_[name] = initial_.size() - 1;
}

std::size_t DiskStory::new_file() {
  initial_.emplace_back();
  return initial_.size() - 1;
}

std::string DiskStory::text() const {
  static constexpr std::array kNames{"write", "truncate", "sync data", "sync", "failed sync", "name", "sync folder"};
  std::string out;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const auto& step = steps_[i];
    out += "\n  " + std::to_string(i) + ' ' + kNames[static_cast<std::size_t>(step.kind)];
    if (step.kind == Kind::sync_folder) out += step.spool_folder ? " of the spool" : " of the state";
    for (const auto& [name, file] : step.names)
      out += ' ' + name + (file ? " is file " + std::to_string(*file) : std::string{" is gone"});
    if (step.kind == Kind::sync_folder || step.kind == Kind::names) continue;
    out += " file " + std::to_string(step.file) + " at " + std::to_string(step.offset) + ", " +
           std::to_string(step.bytes.size()) + " octets" + (step.durable ? ", durable" : "");
  }
  return out;
}

Disk DiskStory::after_power_loss(std::size_t done, std::mt19937& random) const {
  Disk disk;
  for (const auto& [name, file] : names_after(done, random))
    disk[name] = content_after(file, name == "spool", done, random);
  return disk;
}

std::string DiskStory::content_after(std::size_t file, bool is_spool, std::size_t done, std::mt19937& random) const {
  std::size_t data_synced = 0;  // what was written before is on the disk
  std::size_t synced = 0;       // and what was cut before
  std::vector<std::size_t> doubts;
  for (std::size_t i = 0; i < done; ++i) {
    if (steps_[i].file != file) continue;
    if (steps_[i].kind == Kind::sync) synced = data_synced = i;
    if (steps_[i].kind == Kind::sync_data) data_synced = i;
    if (steps_[i].kind == Kind::failed_sync) doubts.push_back(i);
  }
  const auto in_doubt = [&](std::size_t i) {
    // In the first failed sync behind the write, when no good one came before that.
    const auto failed = std::upper_bound(doubts.begin(), doubts.end(), i);
    if (failed == doubts.end()) return false;
    for (std::size_t j = i; j < *failed; ++j) {
      if (steps_[j].file == file && (steps_[j].kind == Kind::sync || steps_[j].kind == Kind::sync_data)) return false;
    }
    return true;
  };
  static constexpr std::array<unsigned, 5> kOdds{0, 4, 2, 1, 3};  // nothing, everything, or each on its own
  const unsigned odds = kOdds[random() % kOdds.size()];
  Pages pages{initial_[file], is_spool, random};
  std::vector<std::uint64_t> sizes{pages.size()};
  std::size_t least = 0;  // the first of the sizes that may be on the disk
  for (std::size_t i = 0; i < done; ++i) {
    const DiskStep& step = steps_[i];
    if (step.file != file || (step.kind != Kind::write && step.kind != Kind::truncate)) continue;
    const std::uint64_t before = pages.size();
    if (step.kind == Kind::write) {
      pages.write(step.offset, step.bytes);
      const bool certain = step.durable || (i < data_synced && !in_doubt(i));
      pages.write_back(step.offset, step.offset + step.bytes.size(), certain, odds);
    } else {
      pages.resize(step.offset);
      if (step.offset > before) pages.write_back(before, step.offset, i < data_synced, odds);
    }
    sizes.push_back(pages.size());
    const bool cut = pages.size() < before;
    if (step.durable || i < synced || (i < data_synced && !cut)) least = sizes.size() - 1;
  }
  const std::size_t chosen = odds == 0   ? least
                             : odds == 4 ? sizes.size() - 1
                                         : least + random() % (sizes.size() - least);
  return pages.with_size(sizes[chosen]);
}

std::map<std::string, std::size_t> DiskStory::names_after(std::size_t done, std::mt19937& random) const {
  auto names = names_at_start_;
  std::array<std::size_t, 2> synced{0, 0};
  for (std::size_t i = 0; i < done; ++i) {
    if (steps_[i].kind == Kind::sync_folder) synced[steps_[i].spool_folder ? 1 : 0] = i;
  }
  const auto is_durable = [&](std::size_t i) { return i < synced[steps_[i].spool_folder ? 1 : 0]; };
  std::size_t unsynced = 0;
  for (std::size_t i = 0; i < done; ++i) unsynced += steps_[i].kind == Kind::names && !is_durable(i) ? 1U : 0U;
  const bool in_order = random() % 2 == 0;
  std::size_t kept = random() % (unsynced + 1);  // in order: so many of them, the others are lost
  for (std::size_t i = 0; i < done; ++i) {
    const DiskStep& step = steps_[i];
    if (step.kind != Kind::names) continue;
    if (!is_durable(i)) {
      if (in_order ? kept == 0 : random() % 2 == 0) continue;
      if (in_order) --kept;
    }
    for (const auto& [name, file] : step.names) {
      if (file) {
        names[name] = *file;
      } else {
        names.erase(name);
      }
    }
  }
  return names;
}

}  // namespace qpop::test
