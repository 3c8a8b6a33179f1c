// SPDX-License-Identifier: MIT
// The lock file beside a spool ("ada.lock").
#pragma once

#include <cstdint>
#include <string>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/files/file_system.h"

namespace qpop::files {

/// One implementation makes the file itself, another asks the monitor, which has the right to write into the spool
/// folder.
class Dotlock {
 public:
  Dotlock() = default;
  Dotlock(const Dotlock&) = delete;
  Dotlock& operator=(const Dotlock&) = delete;
  virtual ~Dotlock() = default;

  /// Never waits. false: somebody else holds it. `kernel_locks_held`: the caller holds the kernel locks of the spool,
  /// so a stale lock may be broken. Errors: denied, no_space (a lock file cannot be made here at all), io.
  virtual base::Result<bool> try_lock(bool kernel_locks_held) = 0;
  /// Makes the lock look fresh: Postfix breaks locks after 500 s, Dovecot after 120 s without change.
  virtual base::Status touch() = 0;
  /// Removes the lock when it is still ours. Without a lock: nothing.
  virtual base::Status unlock() = 0;
};

enum class LockCreation : std::uint8_t {
  exclusive_open,  ///< linked from a file without a name, or O_EXCL
  link,            ///< under another name, then link(2): for NFS servers whose O_EXCL is not atomic
};

/// A lock file is stale when
/// - it names a popper of this host whose process is certainly gone: the host was started since, or the process number,
///   from the same space, is free; or
/// - it is older than kStaleAgeMs and the process named in it does not exist on this host.
inline constexpr std::int64_t kStaleAgeMs = 600'000;

/// A lock file that stands.
struct LockState {
  FileStatus status;
  std::int64_t age_ms = 0;  ///< since its last change of any kind
  std::int64_t pid = 0;     ///< of the process that it names; 0: none
  bool stale = false;
};
/// Looks and breaks nothing. `name`: of the lock file. Errors: not_found: no lock stands; io, denied.
[[nodiscard]] base::Result<LockState> look_at_lock(FileSystem& fs, std::int64_t now_ns, int folder, const std::string& name);

/// Makes the file itself: mode 0600. Inside "PID\n", which other programs read too, and "popper HOST BOOT SPACE\n"; it
/// gets its name when it has its content, where the file system can.
/// A stale lock of somebody else is broken only when the caller holds the kernel locks, so two of us never break one lock
/// at the same time.
class DirectDotlock final : public Dotlock {
 public:
  /// `folder` and the references must outlive the lock.
  DirectDotlock(FileSystem& fs, base::Clock& clock, int folder, const std::string& spool_name,
                LockCreation creation = LockCreation::exclusive_open)
      : fs_(fs), clock_(clock), folder_(folder), name_(spool_name + ".lock"), creation_(creation) {}

  base::Result<bool> try_lock(bool kernel_locks_held) override;
  base::Status touch() override;
  base::Status unlock() override;

 private:
  base::Result<bool> create();
  base::Result<bool> create_by_link();
  base::Result<bool> create_with_content(const std::string& text);
  base::Result<bool> keep(base::UniqueFd fd);
  base::Result<bool> remove_stale();
  [[nodiscard]] std::string content();

  FileSystem& fs_;
  base::Clock& clock_;
  int folder_;
  std::string name_;
  LockCreation creation_;
  base::UniqueFd fd_;
  FileStatus made_;
};

}  // namespace qpop::files
