// SPDX-License-Identifier: MIT
// "Status: RO" for messages that a session retrieved and an update moves anyway: mailers on the host show them as read.
// Source: the original (update-status-headers); the letters are those of mail(1).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/spool/journal.h"
#include "common/spool/update.h"

namespace qpop::spool {

/// One message whose header gets another Status: line.
struct ReadMark {
  std::size_t kept = 0;       ///< its place in UpdatePlan::kept
  std::uint64_t offset = 0;   ///< of the line in the spool before the update
  std::uint32_t removed = 0;  ///< octets of an older line, no more than `line` has
  std::string line;           ///< with the line end that the header has
};

/// The marks of those messages of `retrieved` that are kept, move, and are not marked as read yet; as many as fit into the room that
/// the deletion leaves, so that the spool never becomes longer. Precondition: as apply_update(). Errors: changed, io.
[[nodiscard]] base::Result<std::vector<ReadMark>> plan_read_marks(const Context& context, MailLock& lock, const SpoolListing& listing,
                                                                  const std::vector<bool>& deleted, const std::vector<bool>& retrieved,
                                                                  const UpdatePlan& plan);

/// Octets that the lines take more than those that they replace.
[[nodiscard]] std::uint64_t growth_of(const std::vector<ReadMark>& marks);

/// The octets that follow plan.first, marks included.
[[nodiscard]] std::vector<Part> parts_with_marks(const UpdatePlan& plan, const std::vector<ReadMark>& marks, int spool_fd);

/// Behind the move: the records as a scan of the moved messages would find them. Errors: changed, io.
[[nodiscard]] base::Status apply_to_records(const Context& context, MailLock& lock, const std::vector<ReadMark>& marks, std::uint64_t end,
                                            std::vector<listing::Record>& records);

}  // namespace qpop::spool
