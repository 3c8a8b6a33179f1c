// SPDX-License-Identifier: MIT
// What every maildrop operation is given: the system, and where the maildrop lies.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/files/dotlock.h"
#include "common/files/file_system.h"
#include "common/mbox/qpopper_id.h"

namespace qpop::spool {

using files::DirectDotlock;
using files::Dotlock;
using files::FileStatus;
using files::FileSystem;
using files::SystemFileSystem;

class ScanHelper;

/// References only: the caller keeps all of them alive.
struct Context {
  FileSystem& fs;
  base::Clock& clock;
  Dotlock& dotlock;
  ScanHelper* scan_helper = nullptr;  ///< split_scan.h; nullptr: no help
  std::uint64_t boot = 0;             ///< which run of the kernel this is; 0: unknown
};

/// Folders are open descriptors, not owned. The state folder belongs to the user alone (0700).
struct MaildropPaths {
  int spool_folder_fd = -1;
  std::string spool_name;
  int state_folder_fd = -1;
  std::uint32_t owner_uid = 0;
  mbox::UniqueIdForm unique_id_form = mbox::UniqueIdForm::own;  ///< of messages that have no unique-id yet
};

struct MailLockKinds {
  bool dotlock = true;
  bool fcntl = true;
  bool flock = true;  ///< off on NFS, where it is the same lock as fcntl and conflicts with ourselves
  /// Not a lock: while a spool is changed, the open(2) of another program waits. Against programs that take none. The
  /// process must ignore SIGIO.
  bool lease = false;
};

/// Octets to move or to cut from which on an update is long: what is deleted is then written down first (expunged.h), the client has its
/// answer, and the spool is rewritten behind it.
inline constexpr std::uint64_t kLongUpdate = 16UL * 1024 * 1024;
/// What a message counts for in that, wherever it stands: its record is read, looked at and written.
inline constexpr std::uint64_t kWorkOfMessage = 1024;

/// Lines for the log about what works but needs attention.
using Warnings = std::vector<std::string>;

/// How the detail of an error of kind busy begins that waiting for a mail lock does not mend.
inline constexpr std::string_view kOtherSession = "session: ";
inline constexpr std::string_view kTooEarly = "too early: ";

/// Names in the state folder.
inline constexpr const char* kSessionName = "session";
inline constexpr const char* kIndexName = "index";
inline constexpr const char* kIndexTemporaryName = "index.tmp";
inline constexpr const char* kJournalName = "journal";
inline constexpr const char* kJournalTemporaryName = "journal.tmp";
inline constexpr const char* kReserveName = "reserve";
inline constexpr const char* kSalvageName = "salvage";
inline constexpr const char* kUniqueIdsName = "unique-ids";
inline constexpr const char* kUniqueIdsTemporaryName = "unique-ids.tmp";
inline constexpr const char* kExpungedName = "expunged";
inline constexpr const char* kExpungedTemporaryName = "expunged.tmp";
inline constexpr const char* kExpiryName = "expiry";
inline constexpr const char* kLoginName = "login";

}  // namespace qpop::spool
