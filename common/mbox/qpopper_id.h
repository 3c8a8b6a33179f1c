// SPDX-License-Identifier: MIT
// Unique-ids as Qpopper made them, so that clients who know a message by one do not download it again.
//
//     md5 = MD5 of: the From_ line; every line of the header that begins with Received:, Date:, Message-Id: or Subject:, in their
//           order, without continuation lines; for the base-80 form the From_ line once more. All with their LF, NUL as blank.
//     hex:    32 lower-case digits.
//     base80: each four octets b0 b1 b2 b3 become (b0<<12) + (b1<<8) + (b2<<4) + b3, at most 1114095, and that five digits of base 80,
//             the least significant first, as characters from "!" on, "~" in place of ".". (That they are added shows in unique-ids of
//             real mail: one that begins IV(#! is 1073080, more than any "or" of them.)
//
// This is what a Qpopper with update-status-headers off computes anew for each session. With it on, a time goes into the hash, and the
// result is written into the spool as X-UIDL:, from where it is taken.
// Source: description of the original's behaviour.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qpop::mbox {

enum class UniqueIdForm : std::uint8_t {
  own,     ///< unique_id.h
  base80,  ///< Qpopper 3 and 4
  hex,     ///< Qpopper 2, and old-style-uid
};

/// 20 characters.
[[nodiscard]] std::string base80(const std::array<std::uint8_t, 16>& digest);

/// `postmark` with its line end; `header` as it lies in the spool. Precondition: form is not own.
[[nodiscard]] std::string qpopper_unique_id(UniqueIdForm form, std::string_view postmark, std::string_view header);

/// Value of the first X-UIDL: field when Qpopper could have written it: 11 to 32 characters of 0x21 to 0x7E.
[[nodiscard]] std::optional<std::string> stored_unique_id(std::string_view header);

}  // namespace qpop::mbox
