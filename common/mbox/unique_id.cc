// SPDX-License-Identifier: MIT
// Digest and unique-ids.
#include "common/mbox/unique_id.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "common/base/text.h"

namespace qpop::mbox {

namespace {

using digest::Digest16;
using listing::Record;

struct Lengths {
  std::uint32_t postmark;
  std::uint32_t header;
  std::uint64_t body_octets;
};
static_assert(sizeof(Lengths) == 16);

/// Records of equal digest stand together, each group in maildrop order.
class ByDigest {
 public:
  explicit ByDigest(std::span<const Record> records) : records_(records), order_(records.size()) {
    for (std::size_t i = 0; i < order_.size(); ++i)
      order_[i] = {key_of(records[i].digest), static_cast<std::uint32_t>(i)};
    std::ranges::sort(order_, [this](const Entry& a, const Entry& b) {
      if (a.key != b.key) return a.key < b.key;
      const auto& x = records_[a.index].digest;
      const auto& y = records_[b.index].digest;
      return x != y ? x < y : a.index < b.index;
    });
  }

  [[nodiscard]] std::size_t size() const { return order_.size(); }
  [[nodiscard]] std::uint32_t index(std::size_t i) const { return order_[i].index; }
  [[nodiscard]] const Digest16& digest(std::size_t i) const { return records_[order_[i].index].digest; }
  [[nodiscard]] std::uint64_t key(std::size_t i) const { return order_[i].key; }

  /// End of the group that starts at `first`.
  [[nodiscard]] std::size_t group_end(std::size_t first) const {
    std::size_t end = first + 1;
    while (end < size() && order_[end].key == order_[first].key && digest(end) == digest(first)) ++end;
    return end;
  }

  static std::uint64_t key_of(const Digest16& digest) {
    std::uint64_t key = 0;
    std::memcpy(&key, digest.data(), sizeof key);
    return key;
  }

 private:
  struct Entry {
    std::uint64_t key = 0;
    std::uint32_t index = 0;
  };
  std::span<const Record> records_;
  std::vector<Entry> order_;
};

/// 1 for the text alone, n for text "." n, 0 for a unique-id of another make.
std::uint64_t ordinal_of(std::string_view unique_id, std::string_view text) {
  if (!unique_id.starts_with(text)) return 0;
  unique_id.remove_prefix(text.size());
  if (unique_id.empty()) return 1;
  return unique_id.front() == '.' ? base::parse_decimal(unique_id.substr(1)).value_or(0) : 0;
}

/// Unique-ids for records [first, end) of one digest; `known` hands out those of the older listing in order.
class GroupIds {
 public:
  GroupIds(const ByDigest& known, std::span<const Record> records, std::size_t first, std::size_t end) {
    for (std::size_t i = first; i < end; ++i) ids_.push_back(records[known.index(i)].unique_id());
  }

  void give(std::span<Record> records, const ByDigest& fresh, std::size_t first, std::size_t end) {
    const auto digits = unique_id_text(fresh.digest(first));
    const std::string_view text{digits.data(), digits.size()};
    std::uint64_t highest = 0;
    for (const auto id : ids_) highest = std::max(highest, ordinal_of(id, text));
    for (std::size_t i = first; i < end; ++i) {
      Record& record = records[fresh.index(i)];
      if (i - first < ids_.size()) {
        set_unique_id(record, ids_[i - first]);
        continue;
      }
      ++highest;
      if (highest == 1) {
        set_unique_id(record, text);
      } else {
        set_unique_id(record, fmt::format("{}.{}", text, highest));
      }
    }
  }

 private:
  std::vector<std::string_view> ids_;
};

}  // namespace

void Identity::begin(std::string_view postmark) {
  postmark_ = postmark.substr(0, kPostmarkSample);
  header_.reset();
  body_.clear();
  cr_ = false;
}

void Identity::add_body(std::string_view bytes) {
  while (!bytes.empty() && body_wanted()) {
    if (std::exchange(cr_, false) && bytes.front() != '\n') body_ += '\r';
    if (!body_wanted()) return;
    const auto window = bytes.substr(0, kBodySample + 1 - body_.size());
    const auto cr = window.find('\r');
    body_ += window.substr(0, cr);
    cr_ = cr != std::string_view::npos;
    bytes.remove_prefix(cr_ ? cr + 1 : window.size());
  }
}

digest::Digest16 Identity::finish(std::uint64_t body_octets, bool drop_blank_line) {
  if (body_.size() <= kBodySample) {
    if (cr_) body_ += '\r';
    if (drop_blank_line && body_.ends_with('\n')) body_.pop_back();
    if (!body_.empty() && !body_.ends_with('\n')) body_ += '\n';
  }
  const std::string_view body = std::string_view{body_}.substr(0, kBodySample);
  const std::string_view header = header_.identifying();
  const std::string_view sample = header.substr(0, kHeaderSample);
  const Lengths lengths{.postmark = static_cast<std::uint32_t>(postmark_.size()),
                        .header = static_cast<std::uint32_t>(sample.size()),
                        .body_octets = body_octets};
  const auto header_hash = digest::xxh3_128(header);
  const auto body_hash = digest::xxh3_128(body);
  joined_.assign(reinterpret_cast<const char*>(&lengths), sizeof lengths);
  joined_.append(postmark_).append(sample).append(digest::view_of(header_hash)).append(digest::view_of(body_hash));
  const std::array<std::string_view, 1> whole{joined_};
  const auto full = digest::sha256(whole);
  digest::Digest16 out{};
  std::copy_n(full.begin(), out.size(), out.begin());
  return out;
}

UniqueIdText unique_id_text(const digest::Digest16& digest) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  UniqueIdText text{};
  std::size_t size = 0;
  unsigned bits = 0;
  unsigned held = 0;
  for (const auto octet : digest) {
    bits = (bits << 8U | std::to_integer<unsigned>(octet)) & 0xFFFFU;
    for (held += 8; held >= 6; held -= 6) text[size++] = kAlphabet[bits >> (held - 6) & 0x3FU];
  }
  text[size] = kAlphabet[bits << (6 - held) & 0x3FU];
  return text;
}

void set_unique_id(listing::Record& record, std::string_view unique_id) {
  const auto size = std::min(unique_id.size(), listing::kMaxUniqueId);
  record.unique_id_bytes = {};
  std::copy_n(unique_id.begin(), size, record.unique_id_bytes.begin());
  record.unique_id_size = static_cast<std::uint8_t>(size);
}

void assign_unique_ids(std::span<listing::Record> records, std::span<const listing::Record> known) {
  const ByDigest fresh{records};
  const ByDigest old{known};
  std::size_t at = 0;
  for (std::size_t first = 0; first < fresh.size();) {
    const std::size_t end = fresh.group_end(first);
    const auto behind = [&](std::size_t i) {  // group i of the older listing lies before ours
      return old.key(i) != fresh.key(first) ? old.key(i) < fresh.key(first) : old.digest(i) < fresh.digest(first);
    };
    while (at < old.size() && behind(at)) ++at;
    const bool found = at < old.size() && old.digest(at) == fresh.digest(first);
    const std::size_t known_end = found ? old.group_end(at) : at;
    GroupIds{old, known, at, known_end}.give(records, fresh, first, end);
    at = known_end;
    first = end;
  }
}

UniqueIdsBehind::UniqueIdsBehind(std::span<const Record> fresh) {
  for (const auto& record : fresh) highest_.emplace(record.digest, 0);
}

void UniqueIdsBehind::see(const Record& named) {
  const auto found = highest_.find(named.digest);
  if (found == highest_.end()) return;
  const auto digits = unique_id_text(named.digest);
  found->second = std::max(found->second, ordinal_of(named.unique_id(), {digits.data(), digits.size()}));
}

void UniqueIdsBehind::give(std::span<Record> fresh) {
  for (auto& record : fresh) {
    const auto digits = unique_id_text(record.digest);
    const std::string_view text{digits.data(), digits.size()};
    const auto ordinal = ++highest_[record.digest];
    ordinal == 1 ? set_unique_id(record, text) : set_unique_id(record, fmt::format("{}.{}", text, ordinal));
  }
}

void extend_unique_ids(std::span<Record> records, std::size_t named) {
  UniqueIdsBehind ids{records.subspan(named)};
  for (const auto& record : records.first(named)) ids.see(record);
  ids.give(records.subspan(named));
}

}  // namespace qpop::mbox
