// SPDX-License-Identifier: MIT
// Unique-ids that are not made from our own digest: those that Qpopper left in the spool, those of its algorithms, and imported ones.
//
// When a maildrop is first seen (no index, no file `unique-ids` in its state folder), X-UIDL: fields are honoured, each that stands in one
// message only. What was honoured goes to `unique-ids`, which is there from then on: a field that comes with mail later is not trusted,
// and the index may be deleted without a unique-id changing. The file has the layout of a scan listing; of its records only digest and
// unique-id count.
#pragma once

#include <string>
#include <vector>

#include "common/spool/context.h"

namespace qpop::spool {

/// Gives unique-ids to `records`, the messages of `fd`. `known`: those of the index, null without one.
/// Errors: io, changed (the spool ended before a header did). A `unique-ids` that cannot be written is no error: it is tried again.
[[nodiscard]] base::Status name_messages(const Context& context, const MaildropPaths& paths, int fd,
                                         std::vector<listing::Record>& records, const std::vector<listing::Record>* known);

/// The same for a spool that has only grown: the first `named` records are those of the index, with their unique-ids. Errors: the same.
[[nodiscard]] base::Status name_new_messages(const Context& context, const MaildropPaths& paths, int fd, std::vector<listing::Record>& records,
                                             std::size_t named);

/// For a maildrop without mail: from now on X-UIDL: fields are not trusted.
void note_first_sight(const Context& context, const MaildropPaths& paths);

/// Makes `records`, with foreign unique-ids, those that count; durable. The index must be removed before. Errors: denied, no_space, io.
[[nodiscard]] base::Status import_unique_ids(const Context& context, const MaildropPaths& paths, const std::vector<listing::Record>& records);

/// Header of a message, at most 64 KiB of it.
[[nodiscard]] base::Result<std::string> read_header(FileSystem& fs, int fd, const listing::Record& record);

}  // namespace qpop::spool
