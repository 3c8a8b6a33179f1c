// SPDX-License-Identifier: MIT
// SASL mechanisms by name, and sets of them.
//
// Source: RFC 5034 (SASL in POP3), RFC 4616 (PLAIN), RFC 2195 (CRAM-MD5), RFC 7677 (SCRAM-SHA-256), RFC 4422 appendix A (EXTERNAL);
// LOGIN has no RFC, old clients know nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qpop::sasl {

/// In the order in which they are announced: strongest first.
enum class Mechanism : std::uint8_t { scram_sha_256_plus, scram_sha_256, external, cram_md5, plain, login };

/// A set, small enough for a message between processes; bits that mean nothing are ignored.
using MechanismSet = std::uint32_t;

[[nodiscard]] constexpr MechanismSet bit(Mechanism mechanism) { return 1U << static_cast<unsigned>(mechanism); }
[[nodiscard]] constexpr bool has(MechanismSet set, Mechanism mechanism) { return (set & bit(mechanism)) != 0; }

/// Case is ignored (RFC 4422 section 3.1 has upper case only; clients send both). Empty for any other name.
[[nodiscard]] std::optional<Mechanism> find_mechanism(std::string_view name);

/// "SCRAM-SHA-256 PLAIN", with `separator` between the names; "" for the empty set.
[[nodiscard]] std::string list(MechanismSet set, std::string_view separator = " ");

}  // namespace qpop::sasl
