// SPDX-License-Identifier: MIT
// The scan of a spool, for large ones with the help of another process, which scans the second half meanwhile.
//
// The halves meet at a boundary: an empty line and a postmark near the middle. Whether that is where a message begins only a scan that comes
// from the front knows (Content-Length); when it is not, the other half is scanned here as well.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/mbox/scanner.h"
#include "common/spool/context.h"
#include "common/spool/locks.h"

namespace qpop::spool {

/// From a boundary of an mbox to the end of what is scanned, and the file that it is part of.
struct ScanPart {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t offset = 0;
  std::uint64_t end = 0;
};

class ScanHelper {
 public:
  ScanHelper() = default;
  ScanHelper(const ScanHelper&) = delete;
  ScanHelper& operator=(const ScanHelper&) = delete;
  virtual ~ScanHelper() = default;

  /// Begins to scan. false: it cannot, or was dismissed before.
  virtual bool begin(const ScanPart& part) = 0;
  /// What was found, with everything but the unique-ids. `meanwhile` is called about every second. Errors: any; then it is scanned here.
  virtual base::Result<std::vector<listing::Record>> finish(const std::function<void()>& meanwhile) = 0;
  /// Nothing more is wanted of it, whatever it is doing. Each that has begun is: the spool may be moved and scanned again behind the scan, and
  /// what was found before would then be taken for an answer.
  virtual void dismiss() = 0;
};

/// Less is scanned by one process.
inline constexpr std::uint64_t kWorthHelp = 32UL * 1024 * 1024;

/// Will opening this maildrop scan that much? Judged by the size of the spool and the head of its index; no promise.
[[nodiscard]] bool wants_scan_helper(FileSystem& fs, const MaildropPaths& paths);

/// The octets from `start` to `end` of the locked spool. Errors: those of the scanner; changed, io.
[[nodiscard]] base::Result<mbox::ScanResult> scan_spool(const Context& context, MailLock& lock, mbox::ScanStart start, std::uint64_t end);

/// What a helper does. `is_wanted` is asked again and again. Errors: as above; changed: another file; io: not wanted any more.
[[nodiscard]] base::Result<std::vector<listing::Record>> scan_part(FileSystem& fs, const MaildropPaths& paths, const ScanPart& part,
                                                                   const std::function<bool()>& is_wanted);

}  // namespace qpop::spool
