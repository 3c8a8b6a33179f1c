// SPDX-License-Identifier: MIT
// Unique-ids of another server, as it left them in a file or tells them.
//
//   saved UIDL answer     lines "NUMBER UNIQUE-ID"; what stands around them (+OK, the final dot) is skipped
//   dovecot-uidlist 3     header "3 V<validity> N<next> ...", lines "<uid> P<unique-id> W<octets> ... :<file>"; without P the unique-id is
//                         Dovecot's default, eight hexadecimal digits of the uid and eight of the validity
//   courierpop3dsizelist  header "/2 <next> <validity>" or "/1 ...", lines "<file> <octets> <uid>:<validity>"; the unique-id is
//                         UID<uid>-<validity>, or the file's name where there is no uid
// Pure: bytes in, entries out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/listing/listing.h"

namespace qpop::takeover {

struct ForeignEntry {
  std::string unique_id;                ///< 1 to listing::kMaxUniqueId characters of 0x21 to 0x7E
  std::uint64_t number = 0;             ///< of the message, from 1; by place where the file has no numbers
  std::optional<std::uint64_t> octets;  ///< as sent
};

/// Errors: malformed: none of the three forms, or a unique-id that cannot be one (the detail names the line).
[[nodiscard]] base::Result<std::vector<ForeignEntry>> parse_foreign_listing(std::string_view text);

/// For each record the index of its entry: by octets and order where the entries have octets, by number otherwise.
[[nodiscard]] std::vector<std::optional<std::size_t>> match_entries(std::span<const listing::Record> records, const std::vector<ForeignEntry>& entries);

}  // namespace qpop::takeover
