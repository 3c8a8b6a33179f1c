// SPDX-License-Identifier: MIT
// What a disk may hold after a power loss, given the calls that were made before it.
//
// Model. A sector of a file (512 octets) is at one of its versions since the file was last synced, each sector on its
// own, so writes are lost and reordered at will. The size of a file is a number in its inode: it is at one of its
// values since the last fsync; fdatasync makes growth durable, not a cut. Where the size grew and the data did not
// follow, there is zeros. In files of the state folder it may be rubbish, and sectors of them may be torn in addition;
// the file systems that popper-updates(7) names do not do that, but a checksum must notice it. A sync that failed
// leaves what was written before it in doubt for good, whatever later syncs say. Names: creating, renaming and removing
// is durable when the folder was synced; until then any of these changes may be lost, the last ones or arbitrary ones.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace qpop::test {

/// Names of the state folder, and "spool" for the spool; lock files do not take part.
using Disk = std::map<std::string, std::string>;

struct DiskStep {
  enum class Kind : std::uint8_t { write, truncate, sync_data, sync, failed_sync, names, sync_folder };
  Kind kind;
  std::size_t file = 0;
  std::uint64_t offset = 0;  ///< or size
  std::string bytes{};
  bool durable = false;                                                     ///< by whoever wrote it, as deliveries are
  std::vector<std::pair<std::string, std::optional<std::size_t>>> names{};  ///< name, its file or none
  bool spool_folder = false;
};

class DiskStory {
 public:
  /// A file that is on the disk before the first step.
  void add_file(const std::string& name, std::string bytes);
  /// A number for a file that is created now.
  std::size_t new_file();
  void add(DiskStep step) { steps_.push_back(std::move(step)); }

  [[nodiscard]] std::size_t size() const { return steps_.size(); }
  [[nodiscard]] const std::vector<DiskStep>& steps() const { return steps_; }
  /// One line for each step, for the message of a failed test.
  [[nodiscard]] std::string text() const;

  /// A disk after a power loss behind the first `done` steps.
  [[nodiscard]] Disk after_power_loss(std::size_t done, std::mt19937& random) const;

 private:
  [[nodiscard]] std::string content_after(std::size_t file, bool is_spool, std::size_t done,
                                          std::mt19937& random) const;
  [[nodiscard]] std::map<std::string, std::size_t> names_after(std::size_t done, std::mt19937& random) const;

  std::vector<std::string> initial_;  ///< content of each file before the first step
  std::map<std::string, std::size_t> names_at_start_;
  std::vector<DiskStep> steps_;
};

}  // namespace qpop::test
