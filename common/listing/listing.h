// SPDX-License-Identifier: MIT
// The scan listing of one maildrop as a flat file: what the maildrop role writes and the session role reads.
//
// It is a cache (the index of the maildrop, in the user's state folder) and at the same time the very file that a session
// gets as a read-only descriptor. Reading it needs no parser of mail. All numbers are in host order: the file never leaves
// its machine. Layout: one ListingHeader, then header.count records of kRecordSize octets.
// Source: RFC 1939 section 5 (scan listing, unique-id listing); format notes in common/listing/README.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/base/result.h"
#include "common/digest/digest.h"

namespace qpop::listing {

inline constexpr std::array<char, 8> kMagic{'Q', 'P', 'O', 'P', 'I', 'D', 'X', '\n'};
inline constexpr std::uint32_t kVersion = 1;
/// How many octets before `end` the tail hash covers.
inline constexpr std::uint64_t kTailSpan = 4096;
/// How many octets of a message (postmark included) its head hash covers.
inline constexpr std::size_t kHeadSpan = 256;
/// RFC 1939 section 7 allows 70 octets; ours have 22 and an ordinal, Qpopper's 20 or 32.
inline constexpr std::size_t kMaxUniqueId = 44;

enum class SpoolFormat : std::uint8_t { empty = 0, mbox = 1, mmdf = 2 };

/// What fstat says of the spool; equal values mean: nobody wrote in between.
struct SpoolIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  friend bool operator==(const SpoolIdentity&, const SpoolIdentity&) = default;
};

struct ListingHeader {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t record_size = 0;
  std::uint64_t count = 0;         ///< messages
  std::uint64_t total_octets = 0;  ///< sum of Record::octets
  std::uint64_t end = 0;           ///< offset behind the last message = octets of the spool that were scanned
  SpoolIdentity spool;             ///< of the spool when it was scanned
  std::uint64_t tail_hash = 0;     ///< XXH3-64 of the last min(kTailSpan, end) octets before `end`
  SpoolFormat format = SpoolFormat::empty;
  std::uint8_t young = 0;          ///< 1: the spool's time stamp was too young to be trusted; a later open scans again
  std::array<std::uint8_t, 2> reserved{};
  std::uint32_t compared_min = 0;   ///< minutes since 1970 when the records were written, or last compared with records_hash
  std::uint64_t boot = 0;           ///< and which run of the kernel that was; 0: unknown
  digest::Digest16 records_hash{};  ///< XXH3-128 of all records: names the listing
  std::uint64_t header_hash = 0;    ///< XXH3-64 of this struct with header_hash 0
};

/// Record::flags
inline constexpr std::uint8_t kFlagRead = 1;         ///< a Status: field holds an R
inline constexpr std::uint8_t kFlagHasUniqueId = 2;  ///< there is an X-UIDL: field

/// One message. Its unit in the spool runs from `offset` to the offset of the next record (or header.end): postmark line or
/// opening MMDF separator, content, trailer (blank separator line or closing MMDF separator).
struct Record {
  std::uint64_t offset = 0;         ///< of the unit in the spool
  std::uint64_t octets = 0;         ///< as sent: every line end counted as CRLF, byte-stuffing not counted
  std::uint64_t head_hash = 0;      ///< XXH3-64 of the first min(kHeadSpan, unit) octets of the unit
  digest::Digest16 digest{};        ///< what the unique-id is made from (common/mbox/unique_id.h)
  std::uint32_t content_start = 0;  ///< octets from `offset` to the first header line
  std::uint32_t header_length = 0;  ///< on-disk octets of header and the blank line behind it, from content_start
  std::uint8_t trailer = 0;         ///< on-disk octets at the end of the unit that are not content
  std::uint8_t flags = 0;           ///< kFlagRead and kFlagHasUniqueId
  std::uint8_t unique_id_size = 0;  ///< 1..kMaxUniqueId
  std::uint8_t reserved = 0;
  std::array<char, kMaxUniqueId> unique_id_bytes{};

  [[nodiscard]] std::string_view unique_id() const { return {unique_id_bytes.data(), unique_id_size < kMaxUniqueId ? unique_id_size : kMaxUniqueId}; }
};

inline constexpr std::size_t kRecordSize = 96;
static_assert(sizeof(Record) == kRecordSize && std::is_trivially_copyable_v<Record>);
static_assert(sizeof(ListingHeader) == 128 && std::is_trivially_copyable_v<ListingHeader>);

/// The header of a listing to which `added` were appended, or of which other fields changed; `records_hash` is that of all records.
void extend_header(ListingHeader& header, std::span<const Record> added, const digest::Digest16& records_hash);

/// Fills record_size, count, total_octets, records_hash and header_hash from `records` and the other fields of `header`.
void seal_header(ListingHeader& header, std::span<const Record> records);

/// Checks magic, version, record size, header hash and that `file_size` is exactly what the count asks for. Errors: malformed.
[[nodiscard]] base::Status check_header(const ListingHeader& header, std::uint64_t file_size);

/// Name of the first `count` records of a listing.
[[nodiscard]] digest::Digest16 hash_records(std::span<const Record> records);

/// One message with its place in the spool worked out: all offsets absolute, all lengths on-disk octets.
struct Message {
  std::uint64_t unit_offset = 0;
  std::uint64_t unit_length = 0;
  std::uint64_t content_offset = 0;
  std::uint64_t content_length = 0;
  std::uint64_t header_length = 0;
  Record record;
};

/// Reads a listing through its descriptor, one or a few records at a time, so that memory does not grow with the maildrop.
/// Not owning: the descriptor must outlive the reader.
class ListingReader {
 public:
  /// Errors: malformed (not a sound listing), io.
  static base::Result<ListingReader> open(int fd);
  [[nodiscard]] const ListingHeader& header() const { return header_; }
  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(header_.count); }
  /// Message with 0-based `index` < count(). Errors: malformed (offsets that contradict each other), io.
  [[nodiscard]] base::Result<Message> message(std::uint32_t index) const;
  /// Records [first, first + out.size()); for LIST and UIDL without one system call a message.
  [[nodiscard]] base::Status records(std::uint32_t first, std::span<Record> out) const;
  /// All records, checked against records_hash. For the maildrop role; needs kRecordSize octets a message.
  [[nodiscard]] base::Result<std::vector<Record>> all_records() const;

 private:
  ListingReader(int fd, const ListingHeader& header) : fd_(fd), header_(header) {}
  int fd_;
  ListingHeader header_;
};

/// Which messages of a listing are not to be shown, for a session: a file in memory beside the listing. Layout: one HiddenHeader, then
/// header.count numbers.
struct HiddenHeader {
  std::array<char, 8> magic{'Q', 'P', 'O', 'P', 'H', 'I', 'D', '\n'};
  std::uint32_t version = 1;
  std::uint32_t count = 0;
  std::uint64_t octets = 0;        ///< sum of their Record::octets
  std::uint64_t numbers_hash = 0;  ///< XXH3-64 of the numbers
};
static_assert(sizeof(HiddenHeader) == 32 && std::is_trivially_copyable_v<HiddenHeader>);

struct HiddenMessages {
  std::vector<std::uint32_t> numbers;  ///< from 0, ascending
  std::uint64_t octets = 0;
};

[[nodiscard]] std::string encode_hidden(const HiddenMessages& hidden);
/// Of a listing with this header. Errors: malformed (not whole, not ascending, more than the listing has), io.
[[nodiscard]] base::Result<HiddenMessages> read_hidden(int fd, const ListingHeader& header);

}  // namespace qpop::listing
