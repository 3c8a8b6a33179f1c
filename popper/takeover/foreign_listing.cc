// SPDX-License-Identifier: MIT
// Reading and matching of foreign unique-ids.
#include "popper/takeover/foreign_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "common/base/text.h"

namespace qpop::takeover {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using Entries = std::vector<ForeignEntry>;

constexpr std::size_t kMostEntries = 10'000'000;

class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  std::optional<std::string_view> next() {
    if (rest_.empty()) return std::nullopt;
    const auto end = std::min(rest_.find('\n'), rest_.size());
    auto line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number_;
    return line;
  }
  [[nodiscard]] std::size_t number() const { return number_; }

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

bool is_unique_id(std::string_view text) {
  return !text.empty() && text.size() <= listing::kMaxUniqueId && std::ranges::all_of(text, [](char c) { return c >= 0x21 && c <= 0x7E; });
}

Error at_line(const Lines& lines, std::string_view what) { return {ErrorKind::malformed, fmt::format("line {}: {}", lines.number(), what)}; }

/// Entries that the reader of one form collects.
Result<bool> add(Entries& entries, const Lines& lines, ForeignEntry entry) {
  if (!is_unique_id(entry.unique_id)) return at_line(lines, fmt::format("not a unique-id of 1 to {} printable characters", listing::kMaxUniqueId));
  if (entries.size() >= kMostEntries) return at_line(lines, "too many");
  entries.push_back(std::move(entry));
  return true;
}

Result<Entries> read_dovecot(Lines lines, std::string_view header) {
  std::uint64_t validity = 0;
  for (const auto word : base::words(header)) {
    if (word.starts_with('V')) validity = base::parse_decimal(word.substr(1)).value_or(0);
  }
  Entries entries;
  while (const auto line = lines.next()) {
    // The file's name comes last, behind a colon; it may hold anything.
    const auto words = base::words(line->substr(0, std::min(line->find(" :"), line->size())));
    if (words.empty()) continue;
    const auto uid = base::parse_decimal(words.front());
    if (!uid) return at_line(lines, "does not begin with a uid");
    ForeignEntry entry{fmt::format("{:08x}{:08x}", *uid, validity), entries.size() + 1, std::nullopt};
    for (const auto word : std::span{words}.subspan(1)) {
      if (word.starts_with('P')) entry.unique_id = word.substr(1);
      if (word.starts_with('W')) entry.octets = base::parse_decimal(word.substr(1));
    }
    if (auto added = add(entries, lines, std::move(entry)); !added) return added.error();
  }
  return entries;
}

Result<Entries> read_courier(Lines lines, std::string_view header) {
  const auto head = base::words(header);
  const auto validity = head.size() > 1 ? head.back() : std::string_view{};
  Entries entries;
  while (const auto line = lines.next()) {
    const auto words = base::words(*line);
    if (words.empty()) continue;
    const auto octets = words.size() == 3 ? base::parse_decimal(words[1]) : std::nullopt;
    if (!octets) return at_line(lines, "want a file, its octets and a uid");
    const auto colon = words[2].find(':');
    const auto uid = words[2].substr(0, colon);
    const auto of = colon == std::string_view::npos ? validity : words[2].substr(colon + 1);
    const auto name = words[0].substr(0, words[0].find(':'));
    ForeignEntry entry{uid == "0" ? std::string{name} : fmt::format("UID{}-{}", uid, of), entries.size() + 1, octets};
    if (auto added = add(entries, lines, std::move(entry)); !added) return added.error();
  }
  return entries;
}

Result<Entries> read_answer(Lines lines) {
  Entries entries;
  while (const auto line = lines.next()) {
    const auto words = base::words(*line);
    if (words.empty() || words.front().starts_with('+') || *line == ".") continue;
    const auto number = base::parse_decimal(words.front());
    if (!number || words.size() != 2 || *number == 0) {
      return entries.empty() ? at_line(lines, "neither a UIDL answer, a dovecot-uidlist of version 3 nor a courierpop3dsizelist")
                             : at_line(lines, "want a message-number and a unique-id");
    }
    if (auto added = add(entries, lines, {std::string{words[1]}, *number, std::nullopt}); !added) return added.error();
  }
  return entries;
}

}  // namespace

Result<Entries> parse_foreign_listing(std::string_view text) {
  Lines lines{text};
  auto behind = lines;
  const auto first = behind.next();
  if (!first) return Entries{};
  if (first->starts_with("3 V")) return read_dovecot(behind, *first);
  if (first->starts_with("/1 ") || first->starts_with("/2 ")) return read_courier(behind, *first);
  return read_answer(lines);
}

std::vector<std::optional<std::size_t>> match_entries(std::span<const listing::Record> records, const Entries& entries) {
  std::vector<std::optional<std::size_t>> found(records.size());
  const bool sized = !entries.empty() && std::ranges::all_of(entries, [](const ForeignEntry& entry) { return entry.octets.has_value(); });
  if (!sized) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].number >= 1 && entries[i].number <= records.size()) found[entries[i].number - 1] = i;
    }
    return found;
  }
  std::map<std::uint64_t, std::vector<std::size_t>> by_octets;
  for (std::size_t i = entries.size(); i > 0; --i) by_octets[*entries[i - 1].octets].push_back(i - 1);
  for (std::size_t i = 0; i < records.size(); ++i) {
    auto& candidates = by_octets[records[i].octets];
    if (candidates.empty()) continue;
    found[i] = candidates.back();
    candidates.pop_back();
  }
  return found;
}

}  // namespace qpop::takeover
