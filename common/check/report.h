// SPDX-License-Identifier: MIT
// What a reading of a spool yields: counts, findings, and the changes that would put it right.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/check/event_scan.h"
#include "common/check/findings.h"
#include "common/listing/listing.h"

namespace qpop::check {

/// One change: `removed` octets from `offset` on go, `inserted` comes in their place.
struct Edit {
  std::uint64_t offset = 0;
  std::uint64_t removed = 0;
  std::string inserted{};
  Id id = Id::count;
  bool doubtful = false;  ///< only when asked
};

enum class Region : std::uint8_t { postmark, header, body, separator, quoted, filler, damage, count };
inline constexpr std::size_t kRegions = static_cast<std::size_t>(Region::count);
[[nodiscard]] std::string_view name_of(Region region);

/// How From_ lines in bodies are told from boundaries.
enum class Dialect : std::uint8_t { unknown, mboxo, mboxrd, mboxcl, mboxcl2, mmdf };
[[nodiscard]] std::string_view name_of(Dialect dialect);

/// Octets of each region in equal parts of the spool; for a picture of it.
using Cell = std::array<std::uint32_t, kRegions>;

struct Report {
  listing::SpoolFormat format = listing::SpoolFormat::empty;
  Dialect dialect = Dialect::unknown;
  std::uint64_t size = 0;
  std::uint64_t messages = 0;  ///< as the tolerant reading counts
  std::uint64_t served = 0;    ///< as the server's scan counts; 0 when it refuses
  LineCounts lines;
  std::uint64_t quoted = 0;       ///< lines ">From "
  std::uint64_t quoted_twice = 0; ///< lines ">>From "
  std::uint64_t right_lengths = 0;
  std::uint64_t wrong_lengths = 0;
  std::uint64_t nul_octets = 0;
  std::array<std::uint64_t, kRegions> octets{};
  std::optional<std::string> refused;  ///< why the server's scan refuses the spool
  std::vector<Finding> findings;       ///< by offset; at most kMostFindings
  std::uint64_t findings_left_out = 0;
  std::vector<Edit> edits;             ///< by offset
  std::vector<std::uint64_t> units;    ///< where messages start; only when asked for
  std::vector<Cell> cells;             ///< only when asked for

  Severity worst = Severity::note;     ///< of all findings, those left out included
  [[nodiscard]] bool clean() const { return worst == Severity::note; }
};

inline constexpr std::size_t kMostFindings = 10'000;
/// More changes than that are no repair.
inline constexpr std::size_t kMostEdits = 1'000'000;

struct ReadOptions {
  std::int64_t now_s = 0;       ///< for what has no date
  bool list_units = false;
  std::uint32_t cells = 0;
};

}  // namespace qpop::check
