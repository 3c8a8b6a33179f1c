// SPDX-License-Identifier: MIT
// What the octets of an input mean to expunged_fuzz.cc: a listing, and a file of deleted messages that may fit it.
//
//     input = flags:u8 count:u8 change:u8 mark:u8 message[count % 32] file
//     message (2) = length:u8 digest:u8
//
// A hash cannot be guessed, so the flags say what is put right in the file; then what lies behind the hash is reached.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/spool/expunged.h"
#include "common/spool/spool_file.h"

namespace qpop::test {

/// Pieces of 512 octets of `file` lie 4096 apart: several batches fit into a short input.
inline constexpr std::uint8_t kSpread = 1;
/// Magic, version, number of entries and hash are right.
inline constexpr std::uint8_t kWhole = 2;
/// The listing that a batch names is the one that is there, or its first messages.
inline constexpr std::uint8_t kOfListing = 4;
/// An entry's octets are those of the message at its place.
inline constexpr std::uint8_t kInPlace = 8;
/// Except for one octet of the first entry of each batch.
inline constexpr std::uint8_t kButOne = 16;

inline constexpr std::size_t kPlace = 4096;

struct ExpungedInput {
  std::vector<listing::Record> records;
  std::uint64_t end = 0;    ///< of the last message
  std::uint8_t change = 0;  ///< which message another program changes, where the file is cut
  std::uint8_t mark = 0;    ///< which messages the next session deletes
  std::string file;

  [[nodiscard]] std::uint64_t length(std::size_t number) const {
    return (number + 1 < records.size() ? records[number + 1].offset : end) - records[number].offset;
  }
};

/// Adds a message behind the last one; few digests, so that there are twins.
inline void append(ExpungedInput& input, std::uint8_t length, std::uint8_t digest) {
  listing::Record record;
  record.offset = input.end;
  record.octets = length + std::uint64_t{2};
  record.digest[0] = std::byte{static_cast<std::uint8_t>(digest % 4)};
  input.end += length + std::uint64_t{1};
  input.records.push_back(record);
}

inline digest::Digest16 batch_hash(std::string_view header_without_hash, std::string_view entries, std::uint64_t seed) {
  digest::Xxh3Stream hash{seed};
  hash.add(header_without_hash);
  hash.add(entries);
  return hash.result();
}

/// Puts right what `flags` ask for in the batch at `at`. Returns its size.
inline std::size_t mend(ExpungedInput& input, std::uint8_t flags, std::size_t at, std::size_t room) {
  if (room < sizeof(spool::ExpungedHeader) + sizeof(spool::ExpungedEntry)) return room;
  spool::ExpungedHeader header;
  std::memcpy(&header, &input.file[at], sizeof header);
  const spool::ExpungedHeader fresh;
  header.magic = fresh.magic;
  header.version = fresh.version;
  header.entries = 1 + header.entries % static_cast<std::uint32_t>((room - sizeof header) / sizeof(spool::ExpungedEntry));
  if ((flags & kOfListing) != 0) {
    header.count %= input.records.size() + 1;
    header.records_hash = listing::hash_records(std::span{input.records}.first(header.count));
  }
  std::vector<spool::ExpungedEntry> entries(header.entries);
  const std::size_t octets = entries.size() * sizeof(spool::ExpungedEntry);
  std::memcpy(entries.data(), &input.file[at + sizeof header], octets);
  for (auto& entry : entries) {
    if ((flags & kInPlace) == 0 || input.records.empty()) break;
    entry.number %= static_cast<std::uint32_t>(input.records.size());
    entry.offset = input.records[entry.number].offset;
    entry.length = input.length(entry.number);
    entry.digest = input.records[entry.number].digest;
  }
  if ((flags & kButOne) != 0) reinterpret_cast<std::uint8_t*>(entries.data())[input.change % sizeof(spool::ExpungedEntry)] ^= 1;
  std::memcpy(&input.file[at + sizeof header], entries.data(), octets);
  header.hash = {};
  header.hash = batch_hash({reinterpret_cast<const char*>(&header), sizeof header}, {&input.file[at + sizeof header], octets}, header.seed);
  std::memcpy(&input.file[at], &header, sizeof header);
  return sizeof header + octets;
}

inline ExpungedInput read_input(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kPiece = 512;
  std::string_view bytes{reinterpret_cast<const char*>(data), size};
  const auto take = [&bytes]() -> std::uint8_t {
    if (bytes.empty()) return 0;
    const auto octet = static_cast<std::uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    return octet;
  };
  ExpungedInput input;
  const std::uint8_t flags = take();
  const std::size_t count = take() % 32;
  input.change = take();
  input.mark = take();
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t length = take();
    append(input, length, take());
  }
  const bool spread = (flags & kSpread) != 0;
  for (; spread && bytes.size() > kPiece; bytes.remove_prefix(kPiece)) {
    input.file += bytes.substr(0, kPiece);
    input.file.resize(input.file.size() + kPlace - kPiece);
  }
  input.file += bytes;
  if ((flags & kWhole) == 0) return input;
  for (std::size_t at = 0; at < input.file.size();) {
    const auto room = input.file.size() - at;
    const auto mended = mend(input, flags, at, spread ? std::min(room, kPiece) : room);
    at += (mended + kPlace - 1) / kPlace * kPlace;
  }
  return input;
}

}  // namespace qpop::test
