// SPDX-License-Identifier: MIT
// The file of deleted messages: read, compared with a listing, written.
#include "common/spool/expunged.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>

#include "common/spool/journal.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;
using listing::Record;

/// No sector of a disk, and no page, holds octets of two batches.
constexpr std::uint64_t kBatchSpan = 4096;
/// More than any maildrop makes: 26 million deletions. The file lies in a folder of the user's, who may make it as long as he likes.
constexpr std::uint64_t kMostOctets = 1024UL * 1024 * 1024;

std::uint64_t next_place(std::uint64_t end) { return (end + kBatchSpan - 1) / kBatchSpan * kBatchSpan; }

std::string_view octets_of(const std::vector<ExpungedEntry>& entries) {
  return {reinterpret_cast<const char*>(entries.data()), entries.size() * sizeof(ExpungedEntry)};
}

digest::Digest16 hash_of(ExpungedHeader header, const std::vector<ExpungedEntry>& entries) {
  header.hash = {};
  digest::Xxh3Stream hash{header.seed};
  hash.add(view_of_object(header));
  hash.add(octets_of(entries));
  return hash.result();
}

std::string encode(const ExpungedBatch& batch) { return std::string{view_of_object(batch.header)} + std::string{octets_of(batch.entries)}; }

/// The batch at `at`, when it is whole.
Result<bool> read_batch(FileSystem& fs, int fd, std::uint64_t at, std::uint64_t size, ExpungedBatch& batch) {
  if (at > size || size - at < sizeof(ExpungedHeader) || size > kMostOctets) return false;
  auto& header = batch.header;
  if (auto read = read_exactly(fs, fd, span_of_object(header), at); !read) return read.error();
  const ExpungedHeader want;
  if (header.magic != want.magic || header.version != want.version || header.entries == 0) return false;
  if (header.entries > (size - at - sizeof header) / sizeof(ExpungedEntry)) return false;
  batch.entries.resize(header.entries);
  const std::span<char> bytes{reinterpret_cast<char*>(batch.entries.data()), batch.entries.size() * sizeof(ExpungedEntry)};
  if (auto read = read_exactly(fs, fd, bytes, at + sizeof header); !read) return read.error();
  return hash_of(header, batch.entries) == header.hash;
}

/// Is every entry the message that stands at its place?
bool fits(const ExpungedBatch& batch, std::span<const Record> records, std::uint64_t end) {
  return std::ranges::all_of(batch.entries, [&](const ExpungedEntry& entry) {
    if (entry.number >= batch.header.count) return false;
    const Record& record = records[entry.number];
    const std::uint64_t next = entry.number + 1 < records.size() ? records[entry.number + 1].offset : end;
    return record.offset == entry.offset && record.digest == entry.digest && next - record.offset == entry.length;
  });
}

/// For each batch: do the first messages of the spool make the listing that it was made from? One pass over the records.
std::vector<bool> find_valid(const std::vector<ExpungedBatch>& batches, std::span<const Record> records) {
  std::vector<std::size_t> order(batches.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](std::size_t i) { return batches[i].header.count; });
  std::vector<bool> valid(batches.size());
  digest::Xxh3Stream hash;
  std::size_t done = 0;
  for (const auto i : order) {
    const auto count = batches[i].header.count;
    if (count > records.size()) break;
    const auto more = records.subspan(done, static_cast<std::size_t>(count) - done);
    hash.add({reinterpret_cast<const char*>(more.data()), more.size_bytes()});
    done += more.size();
    valid[i] = hash.result() == batches[i].header.records_hash;
  }
  return valid;
}

Status replace_file(const Context& context, int folder, const std::vector<ExpungedBatch>& batches) {
  FileSystem& fs = context.fs;
  auto fd = again([&] { return fs.open_at(folder, kExpungedTemporaryName, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0600); });
  if (!fd) return fd.error();
  Status done;
  std::uint64_t at = 0;
  for (const auto& batch : batches) {
    const auto bytes = encode(batch);
    if (done) done = write_all(fs, fd->get(), bytes, at);
    at = next_place(at + bytes.size());
  }
  if (done) done = again([&] { return fs.sync(fd->get()); });
  if (done) done = again([&] { return fs.rename_at(folder, kExpungedTemporaryName, kExpungedName); });
  if (!done) static_cast<void>(remove_if_present(fs, folder, kExpungedTemporaryName));
  if (done) done = again([&] { return fs.sync_directory(folder); });
  return done;
}

/// The file as it was before a batch that could not be made durable.
Status take_back(const Context& context, int folder, int fd, const Expunged& expunged) {
  FileSystem& fs = context.fs;
  auto cut = again([&] { return fs.truncate(fd, expunged.end); });
  if (cut) cut = again([&] { return fs.sync(fd); });
  if (expunged.empty()) {
    auto removed = remove_if_present(fs, folder, kExpungedName);
    if (!cut) cut = removed;
  }
  return cut;
}

}  // namespace

std::uint64_t Expunged::on_disk() const {
  std::uint64_t sum = 0;
  for (const auto& batch : batches) sum += batch.header.on_disk;
  return sum;
}

std::int64_t Expunged::oldest_ns() const {
  return std::ranges::min_element(batches, {}, [](const ExpungedBatch& batch) { return batch.header.made_ns; })->header.made_ns;
}

Result<Expunged> load_expunged(const Context& context, int state_folder_fd) {
  FileSystem& fs = context.fs;
  Expunged out;
  auto fd = again([&] { return fs.open_at(state_folder_fd, kExpungedName, O_RDONLY | O_NONBLOCK, 0); });
  if (!fd && fd.error().kind() == ErrorKind::not_found) return out;
  if (!fd) return fd.error();
  auto status = again([&] { return fs.status(fd->get()); });
  if (!status) return status.error();
  if (!S_ISREG(status->mode)) return Error{ErrorKind::unsafe, "no regular file"};
  out.there = true;
  for (;;) {
    ExpungedBatch batch;
    auto whole = read_batch(fs, fd->get(), out.end, status->identity.size, batch);
    if (!whole) return whole.error();
    if (!*whole) return out;
    out.end = next_place(out.end + sizeof batch.header + batch.entries.size() * sizeof(ExpungedEntry));
    out.batches.push_back(std::move(batch));
  }
}

Hidden find_hidden(const Expunged& expunged, std::span<const Record> records, std::uint64_t end) {
  Hidden out;
  if (expunged.empty()) return out;
  const auto valid = find_valid(expunged.batches, records);
  auto& numbers = out.messages.numbers;
  for (std::size_t i = 0; i < valid.size(); ++i) {
    const auto& batch = expunged.batches[i];
    if (!valid[i] || !fits(batch, records, end)) continue;
    for (const auto& entry : batch.entries) numbers.push_back(entry.number);
    out.holding.push_back(batch);
  }
  std::ranges::sort(numbers);
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  for (const auto number : numbers) out.messages.octets += records[number].octets;
  return out;
}

std::uint32_t mark_hidden(const Hidden& hidden, std::vector<bool>& deleted) {
  const auto& numbers = hidden.messages.numbers;
  if (!numbers.empty() && deleted.size() <= numbers.back()) deleted.resize(numbers.back() + std::size_t{1});
  std::uint32_t added = 0;
  for (const auto number : numbers) {
    added += deleted[number] ? 0U : 1U;
    deleted[number] = true;
  }
  return added;
}

void forget_void(const Context& context, int state_folder_fd, const Expunged& expunged, const Hidden& hidden) {
  if (!expunged.there || (!expunged.empty() && hidden.holding.size() == expunged.batches.size())) return;
  if (hidden.holding.empty()) {
    static_cast<void>(remove_expunged(context, state_folder_fd));
  } else {
    static_cast<void>(replace_file(context, state_folder_fd, hidden.holding));
  }
}

Status add_batch(const Context& context, int state_folder_fd, const Expunged& expunged, ExpungedBatch batch, bool& in_doubt) {
  FileSystem& fs = context.fs;
  auto& header = batch.header;
  header.entries = static_cast<std::uint32_t>(batch.entries.size());
  header.on_disk = 0;
  for (const auto& entry : batch.entries) header.on_disk += entry.length;
  header.made_ns = context.clock.realtime_ns();
  digest::random_bytes({reinterpret_cast<std::byte*>(&header.seed), sizeof header.seed});
  header.hash = hash_of(header, batch.entries);
  auto fd = again([&] { return fs.open_at(state_folder_fd, kExpungedName, O_RDWR | O_CREAT | O_NONBLOCK, 0600); });
  if (!fd) return fd.error();
  auto status = again([&] { return fs.status(fd->get()); });
  if (!status) return status.error();
  if (!S_ISREG(status->mode)) return Error{ErrorKind::unsafe, "no regular file"};
  // What is not whole would stand between this batch and those before it.
  Status done;
  if (status->identity.size > expunged.end) done = again([&] { return fs.truncate(fd->get(), expunged.end); });
  if (done) done = write_all(fs, fd->get(), encode(batch), expunged.end);
  if (done) done = again([&] { return fs.sync(fd->get()); });
  // Also when the file was there: the process that made it may have died before it could do this.
  if (done) done = again([&] { return fs.sync_directory(state_folder_fd); });
  if (done) return {};
  in_doubt = !take_back(context, state_folder_fd, fd->get(), expunged);
  return done;
}

Status remove_expunged(const Context& context, int state_folder_fd) {
  auto there = exists(context.fs, state_folder_fd, kExpungedName);
  if (!there) return there.error();
  if (!*there) return {};
  auto removed = remove_if_present(context.fs, state_folder_fd, kExpungedName);
  return removed ? again([&] { return context.fs.sync_directory(state_folder_fd); }) : removed;
}

}  // namespace qpop::spool
