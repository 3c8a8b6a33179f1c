// SPDX-License-Identifier: MIT
// Session lock and mail locks of a maildrop.
//
// Session lock: flock on `session` in the state folder; it belongs to the open file description, so it lives as long as
// any process holds the descriptor. Mail programs do not see it. Mail locks: dotlock, fcntl (open file description,
// whole file) and flock on the spool, all of them. Programs take them in different orders, hence: none is ever waited
// for while another is held. One is busy: all are released, a random pause, again.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/spool/context.h"

namespace qpop::spool {

/// Takes the session lock. Held by an update that is committed and finishing: waits up to `patience_ms` for its end. Held by
/// whomever: waits up to `ending_ms`; a session that has said goodbye needs a moment to end.
/// Errors: busy (another session), denied, no_space, unsafe, io.
[[nodiscard]] base::Result<base::UniqueFd> lock_session(const Context& context, int state_folder_fd, std::uint32_t patience_ms = 0,
                                                        std::uint32_t ending_ms = 0);

/// Says, to those who want the session lock, that its holder has committed its update and only finishes it: an fcntl lock
/// on the session file, which ends with the session lock.
void mark_finishing(const Context& context, int session_lock_fd);

/// Checks that `fd` is the session file of the state folder and holds its lock. Errors: unsafe (another file), busy,
/// io.
[[nodiscard]] base::Status check_session_lock(const Context& context, int state_folder_fd, int fd);

/// All mail locks of one spool, and its descriptor; released by the destructor.
class MailLock {
 public:
  /// Opens the spool for reading and writing (open_spool()) and locks it.
  ///
  /// Errors: not_found (no spool), busy (timeout; the detail names the lock that was held), unsafe, denied, io.
  /// A spool folder in which no lock file can be made: kernel locks alone, and a warning.
  static base::Result<MailLock> acquire(const Context& context, const MaildropPaths& paths, MailLockKinds kinds,
                                        std::uint32_t timeout_ms, Warnings& warnings);

  MailLock(MailLock&& other) noexcept;
  MailLock& operator=(MailLock&&) = delete;
  MailLock(const MailLock&) = delete;
  MailLock& operator=(const MailLock&) = delete;
  ~MailLock() { release(); }

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Before the spool is changed. Refused when another process has it open, or by the file system; then the locks must
  /// do. Ends with the locks.
  void take_lease();
  /// To be called now and then during long work: touches the dotlock every 30 s.
  void refresh();
  /// Never fails for the caller: what cannot be unlocked is unlocked by the close of the descriptor, or is a stale
  /// file.
  void release();

 private:
  MailLock(const Context& context, MailLockKinds kinds) : context_(context), kinds_(kinds) {}
  base::Result<bool> try_once(const MaildropPaths& paths, Warnings& warnings);
  base::Result<bool> try_all(Warnings& warnings);
  base::Result<bool> try_dotlock(bool kernel_locks_held, Warnings& warnings);
  base::Result<bool> name_is_ours(const MaildropPaths& paths);

  Context context_;
  MailLockKinds kinds_;
  base::UniqueFd fd_;
  const char* busy_ = "";
  bool dotlock_ = false;
  bool record_ = false;
  bool flock_ = false;
  std::int64_t touched_ms_ = 0;
};

/// What the value of mail-locks asks for: words separated by blanks; what is none of them asks for nothing.
[[nodiscard]] MailLockKinds lock_kinds(std::string_view words);
/// The first of the words that is no kind of lock, nor "none"; empty: there is no such word.
[[nodiscard]] std::string_view unknown_lock_kind(std::string_view words);

}  // namespace qpop::spool
