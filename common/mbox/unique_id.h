// SPDX-License-Identifier: MIT
// What names a message: a digest of its bytes, and the unique-id text that UIDL shows.
//
// digest = first 16 octets of SHA-256 over
//     u32 length of the postmark sample, u32 length of the header sample, u64 octets of the body as sent (host order),
//     postmark (at most 256 octets, without line end; empty in MMDF without one),
//     first 192 octets of the identifying header (header_filter.h), XXH3-128 of it, XXH3-128 of the first 1024 body
//     octets.
// CRLF counts as LF, and a missing last line end as present, so that a repaired or re-lined message keeps its
// unique-id. Octets of the body and not of the content: the header may grow by "Status:" at any time. Why not SHA-256
// over all of it: that would cost more than the scan. What a sender cannot foresee (Received, Message-Id of the
// delivering host) stands at the top of the header and goes through SHA-256; hence nobody outside can forge a twin.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "common/digest/digest.h"
#include "common/listing/listing.h"
#include "common/mbox/header_filter.h"

namespace qpop::mbox {

/// Gathers the identifying parts of one message from pieces of any size.
class Identity {
 public:
  static constexpr std::size_t kPostmarkSample = 256;
  static constexpr std::size_t kHeaderSample = 192;
  static constexpr std::size_t kBodySample = 1024;

  /// Starts a message; `postmark` without its line end.
  void begin(std::string_view postmark);
  void add_header(std::string_view bytes) { header_.add(bytes); }
  void end_header() { header_.finish(); }
  /// Body octets as in the spool; those behind the sample are ignored.
  void add_body(std::string_view bytes);
  [[nodiscard]] bool body_wanted() const { return body_.size() <= kBodySample; }
  [[nodiscard]] std::optional<std::uint64_t> content_length() const { return header_.content_length(); }
  /// Record::flags, once the header has ended.
  [[nodiscard]] std::uint8_t flags() const {
    return static_cast<std::uint8_t>((header_.is_read() ? listing::kFlagRead : 0U) | (header_.has_unique_id() ? listing::kFlagHasUniqueId : 0U));
  }
  /// `body_octets` as sent. `drop_blank_line`: the body that was added ends with an empty line that is no content.
  [[nodiscard]] digest::Digest16 finish(std::uint64_t body_octets, bool drop_blank_line);

 private:
  std::string postmark_;
  HeaderFilter header_;
  std::string body_;  ///< one octet more than the sample, to know whether there is more
  bool cr_ = false;
  std::string joined_;  ///< what goes through SHA-256; kept for its capacity
};

/// 22 characters of base64url.
using UniqueIdText = std::array<char, 22>;
[[nodiscard]] UniqueIdText unique_id_text(const digest::Digest16& digest);

void set_unique_id(listing::Record& record, std::string_view unique_id);

/// Gives every record its unique-id: text of its digest, for the second and later of equal digests "." and an ordinal.
///
/// `known`: records of an older listing of the same maildrop with their unique-ids. Records of equal digest take over
/// the known unique-ids in order; what is left gets ordinals above all known ones, so that no unique-id moves to
/// another message.
void assign_unique_ids(std::span<listing::Record> records, std::span<const listing::Record> known);

/// The same for messages behind all known ones, which are shown one by one: no need to hold or sort them.
class UniqueIdsBehind {
 public:
  explicit UniqueIdsBehind(std::span<const listing::Record> fresh);
  /// For each known record, with its unique-id.
  void see(const listing::Record& named);
  /// Then, once: for the records that the constructor was given.
  void give(std::span<listing::Record> fresh);

 private:
  std::map<digest::Digest16, std::uint64_t> highest_;  ///< ordinal that is taken, of each digest among the new ones
};

/// The same where the first `named` records are the older listing, whole and with their unique-ids: costs one look at each of them and no sorting of them.
void extend_unique_ids(std::span<listing::Record> records, std::size_t named);

}  // namespace qpop::mbox
