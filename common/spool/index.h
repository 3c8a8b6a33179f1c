// SPDX-License-Identifier: MIT
// Knows the messages of a spool: from the index file when nobody wrote since, from the new bytes alone when mail was
// only appended, from a full scan otherwise. The index is a cache: written without sync, and never needed for
// correctness.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/listing/listing.h"
#include "common/spool/context.h"
#include "common/spool/locks.h"

namespace qpop::spool {

enum class ListingSource : std::uint8_t {
  from_index,  ///< unchanged since the index was written
  grown,       ///< new bytes only were scanned
  scanned,     ///< everything was scanned
};

struct SpoolListing {
  listing::ListingHeader header;  ///< complete but for what seal_header() fills in
  std::vector<listing::Record> records;
  ListingSource source = ListingSource::scanned;
  std::uint64_t octets_scanned = 0;
};

/// Time stamps of a spool with this status cannot tell yet whether a write follows: within 50 ms of now, or within 2 s
/// when the file system keeps whole seconds.
[[nodiscard]] bool is_young(const listing::SpoolIdentity& identity, std::int64_t now_ns);

/// The index file opened for reading when it describes a spool with this identity and is sound, else nothing. Never
/// fails: what cannot be used is as good as absent. Its header is looked at; its records are compared with their hash when `compare` says
/// so, or when this kernel did not do that within the hour.
struct UsableIndex {
  base::UniqueFd fd;
  listing::ListingHeader header;
  std::uint64_t octets_scanned = 0;
};
/// Have the records of a listing the hash that its header says? Errors: io, changed (the file is shorter).
[[nodiscard]] base::Result<bool> records_are_sound(const Context& context, int fd, const listing::ListingHeader& header);
/// As open_index(), whatever it describes: its header is sound, its records were not looked at. Errors: any.
[[nodiscard]] base::Result<UsableIndex> open_index_header(FileSystem& fs, int state_folder_fd);
[[nodiscard]] std::optional<UsableIndex> open_index(const Context& context, int state_folder_fd,
                                                    const listing::SpoolIdentity& identity, bool compare);

/// Where the spool has only grown since the index was written: scans what is new, and the index follows in place, so that the cost is that of
/// the new mail. Nothing where that is not so, or could not be done; then list_spool() tells why.
/// Precondition: the caller holds the session lock, or somebody may be reading the file.
[[nodiscard]] std::optional<UsableIndex> grow_index(const Context& context, const MaildropPaths& paths, MailLock& lock);

/// Lists the messages of the locked spool; unique-ids of an older index stay with their messages.
/// Errors: malformed (neither mbox nor MMDF, with the offset), changed (somebody writes without locks), io.
[[nodiscard]] base::Result<SpoolListing> list_spool(const Context& context, const MaildropPaths& paths, MailLock& lock);

/// Does the spool still begin with the messages of a listing with this header: unchanged, or grown only? Takes no lock, and reads
/// no more than the old end. false also when it cannot be told.
[[nodiscard]] bool is_as_listed(const Context& context, int spool_fd, const listing::ListingHeader& header);

/// Writes the index and returns a descriptor of it that cannot be written through: the file itself, or, when the state
/// folder is full or not writable, a sealed file in memory (and a warning).
[[nodiscard]] base::Result<base::UniqueFd> write_index(const Context& context, int state_folder_fd,
                                                       SpoolListing& listing, Warnings& warnings);

/// The listing in memory only; for a maildrop without a spool.
[[nodiscard]] base::Result<base::UniqueFd> memory_listing(const Context& context, SpoolListing& listing);

/// Hash of the octets before `end` that names a spool's tail.
[[nodiscard]] base::Result<std::uint64_t> tail_hash(FileSystem& fs, int fd, std::uint64_t end);

}  // namespace qpop::spool
