// SPDX-License-Identifier: MIT
// The ledger of a repair: what stood where, what stands there now. Format: popcheck(8), LEDGER.
//
// Text, one record a line, words separated by one blank:
//     popcheck-ledger 1
//     spool PATH                                                     as it is, up to the end of the line; no control octets
//     made NANOSECONDS
//     before SIZE SHA-256
//     after SIZE SHA-256
//     quarantine SIZE SHA-256
//     sum BEFORE = AFTER + QUARANTINE - INSERTED
//     edit OLD-OFFSET REMOVED NEW-OFFSET INSERTED FINDING BASE64     the inserted octets; "-" for none
//     message OLD-OFFSET OLD-LENGTH SHA-256 NEW-OFFSET NEW-LENGTH SHA-256
//     end SHA-256                                                    of all lines above
// The file of the same name that ends in .quarantine holds the removed octets, in the order of the edits.
#pragma once

#include <string>
#include <vector>

#include "common/check/plan.h"
#include "common/files/file_system.h"

namespace qpop::popcheck {

inline constexpr std::string_view kLedgerEnding = ".ledger";
inline constexpr std::string_view kQuarantineEnding = ".quarantine";
inline constexpr std::string_view kUndoneEnding = ".undone";

/// Writes ledger and quarantine of a plan, durably, before anything is changed. `before` is the spool as it is.
/// Result: the name without its ending. Errors: malformed (a path with control octets), no_space, io; nothing is left then.
[[nodiscard]] base::Result<std::string> write_ledger(files::FileSystem& fs, int state, const std::string& path, check::Bytes& before,
                                                     const check::Plan& plan, std::int64_t now_ns);

/// What an undo needs of a ledger.
struct Ledger {
  std::string spool;
  std::uint64_t before_size = 0;
  std::uint64_t after_size = 0;
  std::string before_hash;
  std::string after_hash;
  struct Edit {
    std::uint64_t old_offset = 0;
    std::uint64_t removed = 0;
    std::uint64_t new_offset = 0;
    std::uint64_t inserted = 0;
  };
  std::vector<Edit> edits;
};

/// Errors: malformed, unsupported (another version), io.
[[nodiscard]] base::Result<Ledger> read_ledger(files::FileSystem& fs, int state, const std::string& name);
/// Name without its ending of the last repair that was not taken back; empty: there is none.
[[nodiscard]] std::string last_ledger(int state);
/// Lower-case SHA-256 of the first `size` octets.
[[nodiscard]] base::Result<std::string> hash_of(check::Bytes& bytes, std::uint64_t size);

}  // namespace qpop::popcheck
