// SPDX-License-Identifier: MIT
// The entry points of the maildrop library: open, update, recover. Called by a process under the uid of the maildrop's
// owner.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/digest/digest.h"
#include "common/spool/context.h"
#include "common/spool/deposit.h"
#include "common/spool/index.h"
#include "common/spool/recovery.h"

namespace qpop::spool {

/// When deleted messages leave the spool.
struct ExpungeRules {
  bool deferred = false;             ///< QUIT writes down what is deleted, and leaves the spool as it is (expunged.h)
  std::uint32_t share_percent = 25;  ///< of the spool: when as much is deleted, it is rewritten
  std::int64_t after_s = 86'400;     ///< when the oldest deletion is as old, it is rewritten
  bool compacts = true;              ///< an open may do that
};

struct MaildropSettings {
  MailLockKinds locks;
  std::uint32_t open_timeout_ms = 30'000;     ///< for the mail locks at open and recovery
  std::uint32_t update_timeout_ms = 120'000;  ///< for the mail locks at update
  /// Called when an open or an update fails behind a recovery that did something; otherwise nobody would hear of that.
  std::function<void(Recovery, const Warnings&)> on_lost_recovery{};
  std::vector<LeftOver> temporary_drops{};  ///< of Qpopper: the mail in them is taken over
  std::string bulletins{};                  ///< messages to append, mbox
  std::int64_t expire_days = -1;            ///< older messages are deleted, once a day; -1: none
  std::uint32_t login_delay_s = 0;          ///< between two sessions
  bool hide_internal = false;               ///< look whether the first message is a mailer's own
  ExpungeRules expunge{};
};

struct OpenedMaildrop {
  base::UniqueFd spool;         ///< O_RDONLY; invalid when there is no mail (no spool, or an empty one)
  base::UniqueFd listing;       ///< cannot be written through; a listing of no messages when there is no mail
  base::UniqueFd hidden;        ///< numbers of deleted messages that the listing still has, for read_hidden(); invalid: none
  base::UniqueFd session_lock;  ///< the session lives as long as somebody holds this
  std::uint32_t count = 0;   ///< messages of the listing, hidden ones included
  std::uint64_t octets = 0;  ///< sum of the messages as sent, likewise
  std::uint32_t hidden_count = 0;
  ListingSource source = ListingSource::from_index;
  std::uint64_t octets_scanned = 0;
  Recovery recovery = Recovery::nothing;
  bool hidden_first = false;  ///< the first message is not to be shown
  bool bulletins_delivered = false;
  std::uint32_t expired = 0;  ///< messages deleted by age
  std::uint32_t compacted = 0;  ///< messages deleted in earlier sessions that left the spool now
  Warnings warnings;
};

/// Opens the maildrop for one session: session lock, recovery when a journal stands, scan listing. The mail locks are
/// taken only when something has to be scanned or recovered, and are free again when this returns. The end of an update
/// that is committed is waited for, as long as for the mail locks: its client may have its answer already.
///
/// Errors  busy: detail begins "session" (another session) or "too early" (login_delay_s), or stands at "mail lock" (another
///         program, timeout);
///         unsafe: the spool is a symbolic link, a directory, a fifo, somebody else's, or has several links; the detail
///         says which; malformed: neither mbox nor MMDF, detail with the offset; changed: somebody writes without
///         locks; unsupported: journal of a later version; denied, no_space, io.
[[nodiscard]] base::Result<OpenedMaildrop> open_maildrop(const Context& context, const MaildropPaths& paths,
                                                         const MaildropSettings& settings);

struct UpdateRequest {
  int session_lock_fd = -1;         ///< as open_maildrop() gave it
  int listing_fd = -1;              ///< likewise; needed only when the spool was rewritten meanwhile
  std::uint32_t count = 0;          ///< messages of the session
  digest::Digest16 records_hash{};  ///< of their records: ListingHeader::records_hash
  std::vector<bool> deleted;        ///< `count` marks
  std::vector<bool> retrieved{};    ///< as many, or none: messages that get "Status: RO" where they move anyway
  std::function<void(std::uint64_t)> committed{};  ///< called once the messages are gone for good, with the octets that are to move or to be cut yet
  std::uint64_t long_update = kLongUpdate;         ///< from so much work on, what is deleted is written down first
};

struct UpdatedMaildrop {
  std::uint32_t removed = 0;
  Recovery recovery = Recovery::nothing;
  Warnings warnings;
};

/// Removes the marked messages. When it returns a result, they are gone for good; nothing marked: nothing is even
/// locked. In a spool that another program rewrote since the session opened it they are found again by their digests;
/// what that program removed already is not counted. With ExpungeRules::deferred the spool is left as it is where that pays. Where the
/// rewrite takes long, the messages are hidden first (expunged.h), and `committed` is called before the spool is touched.
///
/// Errors  changed: the marked messages cannot be told apart in a rewritten spool, nothing was touched; limit: a request that contradicts
/// itself; unsafe,
///         busy: the descriptor is not the session lock, or the mail locks were held until the timeout; no_space:
///         nothing was touched; io: nothing was touched, or the journal stands and recovery finishes the update. Any of them once
///         `committed` was called: the messages are gone for good, and what is left to do is done by recovery or the next open.
[[nodiscard]] base::Result<UpdatedMaildrop> update_maildrop(const Context& context, const MaildropPaths& paths,
                                                            const MaildropSettings& settings,
                                                            const UpdateRequest& request);

struct RecoveredMaildrop {
  Recovery outcome = Recovery::nothing;
  Warnings warnings;
};

/// Recovers after a crash: at boot before mail is delivered, or when a maildrop process died. Needs no session lock. Messages that are
/// hidden although expunge is immediate are removed, unless a session is open: its next one does that.
/// Without a journal and a file of hidden messages it takes no lock and touches nothing.
[[nodiscard]] base::Result<RecoveredMaildrop> recover_maildrop(const Context& context, const MaildropPaths& paths,
                                                               const MaildropSettings& settings);

}  // namespace qpop::spool
