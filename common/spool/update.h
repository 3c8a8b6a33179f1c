// SPDX-License-Identifier: MIT
// Removing messages from a locked spool.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/spool/context.h"
#include "common/spool/index.h"
#include "common/spool/locks.h"
#include "common/spool/strides.h"

namespace qpop::spool {

/// What a deletion means for the octets of the spool.
struct UpdatePlan {
  std::uint64_t first = 0;            ///< F: offset of the first deleted octet
  std::uint64_t old_size = 0;         ///< S
  std::vector<Range> tail;            ///< octets behind F that are kept, neighbours joined
  std::uint64_t tail_size = 0;        ///< T: their sum
  std::vector<listing::Record> kept;  ///< records of all kept messages at their new offsets
};

/// Precondition: deleted.size() <= listing.records.size(), at least one is set; messages behind deleted.size() are
/// kept.
[[nodiscard]] UpdatePlan plan_update(const SpoolListing& listing, const std::vector<bool>& deleted);

/// What a session asks for: marks for the first messages of the listing.
struct Marks {
  std::vector<bool> deleted;
  std::vector<bool> retrieved{};  ///< to be marked as read where they move anyway (read_marks.h)
  bool expunged_stands = false;   ///< the file `expunged` is there; what it hides must be among `deleted`
};

/// Removes the messages marked as deleted and rewrites the index. `committed` is called as soon as the messages are
/// gone for good, with the octets that are still to be moved or cut, which may take its time.
///
/// Precondition: the spool is locked, `listing` describes it now, no journal stands.
/// Result  when it returns, the messages are gone and will stay so.
/// Errors  no_space, changed (a message does not look as listed), io. Before the commit point: the spool is as it was.
/// Behind it:
///         the journal stands, and recovery removes the messages.
[[nodiscard]] base::Status apply_update(const Context& context, const MaildropPaths& paths, MailLock& lock,
                                        const SpoolListing& listing, const Marks& marks,
                                        const std::function<void(std::uint64_t)>& committed, Warnings& warnings);

}  // namespace qpop::spool
