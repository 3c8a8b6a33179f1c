// SPDX-License-Identifier: MIT
// Changes to a spool that are planned: applied one after another in memory, read as if they were made, and summed up.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/check/bytes.h"
#include "common/check/report.h"

namespace qpop::check {

class Patch {
 public:
  explicit Patch(std::uint64_t size);

  /// Applies changes whose offsets count in what the patch makes so far, ascending. One that overlaps its predecessor is
  /// left out. Returns how many were applied.
  std::size_t apply(std::span<const Edit> edits);
  /// All changes in terms of the original, ascending; neighbours are one.
  [[nodiscard]] std::vector<Edit> edits() const;
  [[nodiscard]] std::uint64_t size() const { return ends_.empty() ? 0 : ends_.back(); }
  [[nodiscard]] bool empty() const { return edits().empty(); }
  /// Where the octet at `at` of the result stood in the original, or the place it was inserted at.
  [[nodiscard]] std::uint64_t original_of(std::uint64_t at) const;

 private:
  friend class PatchedBytes;
  /// Octets of the original, or of text_.
  struct Piece {
    bool inserted = false;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    Id id = Id::count;
  };
  void add(std::vector<Piece>& out, Piece piece) const;
  void copy(std::vector<Piece>& out, std::uint64_t from, std::uint64_t to) const;
  void index();

  std::uint64_t original_;
  std::vector<Piece> pieces_;
  std::vector<std::uint64_t> ends_;  ///< of each piece in the result
  std::string text_;
};

/// The result of a patch; both must outlive it.
class PatchedBytes final : public Bytes {
 public:
  PatchedBytes(Bytes& original, const Patch& patch) : original_(original), patch_(patch) {}
  [[nodiscard]] std::uint64_t size() const override { return patch_.size(); }
  [[nodiscard]] base::Result<std::size_t> read(std::uint64_t offset, std::span<char> out) override;

 private:
  Bytes& original_;
  const Patch& patch_;
};

}  // namespace qpop::check
