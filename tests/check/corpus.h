// SPDX-License-Identifier: MIT
// Clean spools of each dialect, and damage done to them, by generators: the same seed makes the same octets.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace qpop::test {

enum class Kind : std::uint8_t { mboxo, mboxrd, mboxcl, mboxcl2, mmdf, crlf };
inline constexpr Kind kKinds[] = {Kind::mboxo, Kind::mboxrd, Kind::mboxcl, Kind::mboxcl2, Kind::mmdf, Kind::crlf};

struct Message {
  std::string postmark;  ///< with its line end; in MMDF empty
  std::string content;
  [[nodiscard]] std::size_t header_size() const { return content.find("\n\n") == std::string::npos ? content.find("\r\n\r\n") + 4 : content.find("\n\n") + 2; }
};

struct Spool {
  Kind kind = Kind::mboxo;
  std::vector<Message> messages;
  [[nodiscard]] std::string bytes() const;
  /// Where the unit of a message starts.
  [[nodiscard]] std::size_t offset(std::size_t index) const;
  [[nodiscard]] std::string unit(std::size_t index) const;
  [[nodiscard]] bool mmdf() const { return kind == Kind::mmdf; }
  [[nodiscard]] std::string eol() const { return kind == Kind::crlf ? "\r\n" : "\n"; }
};

[[nodiscard]] Spool make_spool(Kind kind, std::mt19937& random, std::size_t messages);

struct Damage {
  std::string what;
  std::string bytes;
  /// Contents that a repair must bring back, in this order; others may stand between.
  std::vector<std::string> wanted;
  bool exact = true;  ///< nothing else may be served
};

/// Names of the single faults that can be done to spools of this kind.
[[nodiscard]] std::vector<std::string> single_faults(Kind kind);
[[nodiscard]] Damage damage(const Spool& spool, const std::string& fault, std::mt19937& random);
/// Bit flips, lost or zeroed blocks, spliced and cut files, one to six of them.
[[nodiscard]] std::string damage_at_random(std::string bytes, std::mt19937& random);

/// Contents of the messages as the server serves them; one text that begins with "refused" when it does not.
[[nodiscard]] std::vector<std::string> served(std::string_view bytes);

}  // namespace qpop::test
