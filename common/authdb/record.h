// SPDX-License-Identifier: MIT
// Records of the database as octets. Grammar in common/authdb/README.md; the decoder trusts nothing.
#pragma once

#include <string>
#include <string_view>

#include "common/authdb/account.h"

namespace qpop::authdb {

inline constexpr std::uint8_t kRecordVersion = 2;  ///< written; 1 is read as well
/// Key of the meta record; no account can have it (is_acceptable_user_name()).
inline constexpr std::string_view kMetaKey = ".meta";

[[nodiscard]] std::string encode_account(std::string_view name, const Account& account);
[[nodiscard]] std::string encode_meta(const Meta& meta);

/// Errors  unsupported: a newer record version; malformed: length, checksum, an unknown flag or a number out of bounds.
[[nodiscard]] base::Result<Account> decode_account(std::string_view name, std::string_view value);
[[nodiscard]] base::Result<Meta> decode_meta(std::string_view value);

}  // namespace qpop::authdb
