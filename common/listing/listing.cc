// SPDX-License-Identifier: MIT
// Checks and reads of the scan listing file.
#include "common/listing/listing.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <limits>

namespace qpop::listing {

namespace {

using base::Error;
using base::ErrorKind;

std::uint64_t hash_header(ListingHeader header) {
  header.header_hash = 0;
  return digest::xxh3_64({reinterpret_cast<const char*>(&header), sizeof header});
}

base::Status read_exactly(int fd, void* out, std::size_t size, std::uint64_t offset) {
  auto* at = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t got = ::pread(fd, at, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "pread");
    if (got == 0) return Error{ErrorKind::malformed, "scan listing ends too early"};
    at += got;
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::size_t>(got);
  }
  return {};
}

/// Offsets must grow and the parts of a unit must fit into it.
bool is_consistent(const Record& record, std::uint64_t next_offset) {
  if (next_offset <= record.offset) return false;
  const std::uint64_t unit = next_offset - record.offset;
  const std::uint64_t around = std::uint64_t{record.content_start} + record.trailer;
  if (around > unit || record.header_length > unit - around) return false;
  return record.unique_id_size >= 1 && record.unique_id_size <= kMaxUniqueId;
}

}  // namespace

digest::Digest16 hash_records(std::span<const Record> records) {
  return digest::xxh3_128({reinterpret_cast<const char*>(records.data()), records.size_bytes()});
}

void seal_header(ListingHeader& header, std::span<const Record> records) {
  header.magic = kMagic;
  header.version = kVersion;
  header.record_size = kRecordSize;
  header.count = records.size();
  header.total_octets = 0;
  for (const auto& record : records) header.total_octets += record.octets;
  header.records_hash = hash_records(records);
  header.header_hash = hash_header(header);
}

void extend_header(ListingHeader& header, std::span<const Record> added, const digest::Digest16& records_hash) {
  header.count += added.size();
  for (const auto& record : added) header.total_octets += record.octets;
  header.records_hash = records_hash;
  header.header_hash = hash_header(header);
}

base::Status check_header(const ListingHeader& header, std::uint64_t file_size) {
  if (header.magic != kMagic || header.version != kVersion || header.record_size != kRecordSize) {
    return Error{ErrorKind::malformed, "not a scan listing of this version"};
  }
  if (header.header_hash != hash_header(header)) return Error{ErrorKind::malformed, "scan listing: header checksum differs"};
  if (header.count > std::numeric_limits<std::uint32_t>::max() ||
      file_size != sizeof(ListingHeader) + header.count * kRecordSize) {
    return Error{ErrorKind::malformed, "scan listing: length does not fit its count"};
  }
  return {};
}

base::Result<ListingReader> ListingReader::open(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error::from_errno(errno, "fstat");
  ListingHeader header;
  if (auto read = read_exactly(fd, &header, sizeof header, 0); !read) return read.error();
  if (auto ok = check_header(header, static_cast<std::uint64_t>(status.st_size)); !ok) return ok.error();
  return ListingReader{fd, header};
}

base::Status ListingReader::records(std::uint32_t first, std::span<Record> out) const {
  if (first > count() || out.size() > count() - first) return Error{ErrorKind::limit, "no such message in the scan listing"};
  if (auto read = read_exactly(fd_, out.data(), out.size_bytes(), sizeof(ListingHeader) + std::uint64_t{first} * kRecordSize); !read) return read;
  // The file lies in a folder of the user's; its hashes tell accidents, not forgery.
  const auto fits = [](const Record& record) { return record.unique_id_size >= 1 && record.unique_id_size <= kMaxUniqueId; };
  if (!std::ranges::all_of(out, fits)) return Error{ErrorKind::malformed, "scan listing: unique-id of an impossible length"};
  return {};
}

base::Result<Message> ListingReader::message(std::uint32_t index) const {
  if (index >= count()) return Error{ErrorKind::limit, "no such message in the scan listing"};
  std::array<Record, 2> pair{};
  const bool last = index + 1 == count();
  if (auto read = records(index, std::span{pair}.first(last ? 1 : 2)); !read) return read.error();
  const Record& record = pair[0];
  const std::uint64_t next = last ? header_.end : pair[1].offset;
  if (!is_consistent(record, next)) return Error{ErrorKind::malformed, "scan listing: contradictory offsets"};
  Message message;
  message.unit_offset = record.offset;
  message.unit_length = next - record.offset;
  message.content_offset = record.offset + record.content_start;
  message.content_length = message.unit_length - record.content_start - record.trailer;
  message.header_length = record.header_length;
  message.record = record;
  return message;
}

base::Result<std::vector<Record>> ListingReader::all_records() const {
  std::vector<Record> all(count());
  if (auto read = records(0, all); !read) return read.error();
  if (hash_records(all) != header_.records_hash) return Error{ErrorKind::malformed, "scan listing: checksum differs"};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::uint64_t next = i + 1 < all.size() ? all[i + 1].offset : header_.end;
    if (!is_consistent(all[i], next)) return Error{ErrorKind::malformed, "scan listing: contradictory offsets"};
  }
  return all;
}

namespace {

std::string_view octets_of(std::span<const std::uint32_t> numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes()};
}

}  // namespace

std::string encode_hidden(const HiddenMessages& hidden) {
  HiddenHeader header;
  header.count = static_cast<std::uint32_t>(hidden.numbers.size());
  header.octets = hidden.octets;
  header.numbers_hash = digest::xxh3_64(octets_of(hidden.numbers));
  std::string out{reinterpret_cast<const char*>(&header), sizeof header};
  out += octets_of(hidden.numbers);
  return out;
}

base::Result<HiddenMessages> read_hidden(int fd, const ListingHeader& listing) {
  HiddenHeader header;
  if (auto read = read_exactly(fd, &header, sizeof header, 0); !read) return read.error();
  const HiddenHeader want;
  const bool sound = header.magic == want.magic && header.version == want.version && header.count <= listing.count && header.octets <= listing.total_octets;
  if (!sound) return Error{ErrorKind::malformed, "hidden messages: they do not fit the scan listing"};
  HiddenMessages hidden{.numbers = std::vector<std::uint32_t>(header.count), .octets = header.octets};
  const auto size = hidden.numbers.size() * sizeof(std::uint32_t);
  if (auto read = read_exactly(fd, hidden.numbers.data(), size, sizeof header); !read) return read.error();
  const bool ascending = std::ranges::adjacent_find(hidden.numbers, std::ranges::greater_equal{}) == hidden.numbers.end();
  const bool inside = hidden.numbers.empty() || hidden.numbers.back() < listing.count;
  if (!ascending || !inside || header.numbers_hash != digest::xxh3_64(octets_of(hidden.numbers)))
    return Error{ErrorKind::malformed, "hidden messages: the numbers are not in order"};
  return hidden;
}

}  // namespace qpop::listing
