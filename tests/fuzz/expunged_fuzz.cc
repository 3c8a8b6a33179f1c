// SPDX-License-Identifier: MIT
// The file of deleted messages on hostile bytes, and what it hides of a listing: nothing that no whole batch names, nothing of a listing
// that is another one; what is written is read again.
#include "common/spool/expunged.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "common/spool/deferred.h"
#include "tests/fuzz/expunged_input.h"

namespace {

using namespace qpop;
using namespace qpop::spool;
using qpop::test::ExpungedInput;
using qpop::test::kPlace;

/// Stands for the descriptor of the state folder.
constexpr int kFolder = -1;

void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "expunged_fuzz: %s\n", what);
  std::abort();
}

/// A folder in memory: files without a name behind the names, and nothing to be made durable.
class MemoryFolder final : public SystemFileSystem {
 public:
  base::Result<base::UniqueFd> open_at(int, const std::string& name, int flags, unsigned) override {
    auto found = files_.find(name);
    if (found == files_.end()) {
      if ((flags & O_CREAT) == 0) return base::Error::from_errno(ENOENT, "open");
      auto fd = memory_file();
      if (!fd) return fd.error();
      found = files_.emplace(name, std::move(*fd)).first;
    }
    if ((flags & O_TRUNC) != 0) require(::ftruncate(found->second.get(), 0) == 0, "cut");
    return base::UniqueFd{::fcntl(found->second.get(), F_DUPFD_CLOEXEC, 0)};
  }
  base::Result<FileStatus> status_at(int, const std::string& name) override {
    const auto found = files_.find(name);
    if (found == files_.end()) return base::Error::from_errno(ENOENT, "stat");
    return status(found->second.get());
  }
  base::Status unlink_at(int, const std::string& name) override {
    if (files_.erase(name) == 0) return base::Error::from_errno(ENOENT, "unlink");
    return {};
  }
  base::Status rename_at(int, const std::string& from, const std::string& to) override {
    const auto found = files_.find(from);
    if (found == files_.end()) return base::Error::from_errno(ENOENT, "rename");
    auto fd = std::move(found->second);
    files_.erase(found);
    files_.insert_or_assign(to, std::move(fd));
    return {};
  }
  base::Status sync(int) override { return {}; }
  base::Status sync_directory(int) override { return {}; }

  void put(const std::string& name, std::string_view bytes) {
    auto fd = open_at(kFolder, name, O_CREAT | O_TRUNC, 0600);
    require(fd.has_value() && write_all(*this, fd->get(), bytes, 0).has_value(), "a file in memory");
  }

 private:
  std::map<std::string, base::UniqueFd> files_;
};

struct World {
  MemoryFolder fs;
  base::SystemClock clock;
  DirectDotlock dotlock{fs, clock, kFolder, "ada"};
  Context context{fs, clock, dotlock};

  Expunged load() {
    auto loaded = load_expunged(context, kFolder);
    require(loaded.has_value(), "any file can be read");
    return std::move(*loaded);
  }
  Expunged load(std::string_view bytes) {
    fs.put(kExpungedName, bytes);
    return load();
  }
};

bool same(const ExpungedBatch& a, const ExpungedBatch& b) {
  return std::memcmp(&a.header, &b.header, sizeof a.header) == 0 && a.entries.size() == b.entries.size() &&
         std::memcmp(a.entries.data(), b.entries.data(), a.entries.size() * sizeof(ExpungedEntry)) == 0;
}

bool begins_with(const std::vector<ExpungedBatch>& all, std::span<const ExpungedBatch> first) {
  return first.size() <= all.size() && std::equal(first.begin(), first.end(), all.begin(), same);
}

std::string_view octets_of(const ExpungedBatch& batch) {
  return {reinterpret_cast<const char*>(batch.entries.data()), batch.entries.size() * sizeof(ExpungedEntry)};
}

/// Each batch stands in the file octet for octet, at its place, under its hash.
void check_batches(const Expunged& expunged, std::string_view file) {
  require(expunged.there && !expunged.unreadable, "there is a file");
  std::size_t at = 0;
  for (const auto& batch : expunged.batches) {
    auto header = batch.header;
    require(!batch.entries.empty() && header.entries == batch.entries.size(), "as many entries as the header says");
    const std::size_t size = sizeof header + octets_of(batch).size();
    require(at <= file.size() && size <= file.size() - at, "a batch lies in the file");
    require(file.substr(at, sizeof header) == view_of_object(header) && file.substr(at + sizeof header, octets_of(batch).size()) == octets_of(batch),
            "a batch is what stands in the file");
    const auto hash = std::exchange(header.hash, {});
    require(test::batch_hash(view_of_object(header), octets_of(batch), header.seed) == hash, "a batch has its hash");
    at += (size + kPlace - 1) / kPlace * kPlace;
  }
  require(expunged.end == at, "the next batch belongs behind the last");
}

/// Slowly, and a batch at a time: does it hold for these messages?
bool holds(const ExpungedBatch& batch, const ExpungedInput& input) {
  if (batch.header.count > input.records.size()) return false;
  if (listing::hash_records(std::span{input.records}.first(batch.header.count)) != batch.header.records_hash) return false;
  return std::ranges::all_of(batch.entries, [&](const ExpungedEntry& entry) {
    return entry.number < batch.header.count && input.records[entry.number].offset == entry.offset && input.length(entry.number) == entry.length &&
           input.records[entry.number].digest == entry.digest;
  });
}

/// What the slow reading hides.
std::set<std::uint32_t> hidden_numbers(const Expunged& expunged, const ExpungedInput& input) {
  std::set<std::uint32_t> numbers;
  for (const auto& batch : expunged.batches) {
    if (!holds(batch, input)) continue;
    for (const auto& entry : batch.entries) numbers.insert(entry.number);
  }
  return numbers;
}

void check_listing(World& world, const listing::HiddenMessages& messages, const ExpungedInput& input) {
  listing::ListingHeader header;
  listing::seal_header(header, input.records);
  world.fs.put("hidden", listing::encode_hidden(messages));
  const auto fd = world.fs.open_at(kFolder, "hidden", O_RDONLY, 0);
  const auto read = listing::read_hidden(fd->get(), header);
  require(read.has_value() && read->numbers == messages.numbers && read->octets == messages.octets, "a session reads what is hidden from it");
}

Hidden check_hidden(World& world, const Expunged& expunged, const ExpungedInput& input) {
  auto hidden = find_hidden(expunged, input.records, input.end);
  const auto& numbers = hidden.messages.numbers;
  std::size_t recorded = 0, holding = 0;
  for (const auto& batch : expunged.batches) {
    recorded += batch.entries.size();
    holding += holds(batch, input) ? 1U : 0U;
  }
  std::uint64_t octets = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    require(numbers[i] < input.records.size(), "what is hidden is in the listing");
    require(i == 0 || numbers[i - 1] < numbers[i], "hidden numbers ascend");
    octets += input.records[numbers[i]].octets;
  }
  require(numbers.size() <= recorded, "no more is hidden than recorded");
  require(hidden.messages.octets == octets, "octets of what is hidden");
  require(hidden.holding.size() == holding, "the batches that hold are those that are not void");
  const auto want = hidden_numbers(expunged, input);
  require(std::equal(numbers.begin(), numbers.end(), want.begin(), want.end()), "hidden is what the batches that hold name");
  std::vector<bool> deleted(input.change % 40U);
  const auto size = deleted.size();
  require(mark_hidden(hidden, deleted) == numbers.size() && mark_hidden(hidden, deleted) == 0, "every hidden message is marked once");
  require(static_cast<std::size_t>(std::ranges::count(deleted, true)) == numbers.size() && deleted.size() >= size, "no other message is marked");
  check_listing(world, hidden.messages, input);
  return hidden;
}

/// A file that a power loss cut, at any octet: the batches before are as they were.
void check_cut(World& world, const Expunged& expunged, const ExpungedInput& input) {
  const std::string_view whole{input.file};
  const auto cut = whole.substr(0, whole.size() * input.change / 256);
  const auto left = world.load(cut);
  check_batches(left, cut);
  require(begins_with(expunged.batches, left.batches), "a cut file has its first batches");
}

/// Mail that is appended hides and shows nothing; a change makes void what was recorded of a listing that has the message.
void check_changes(World& world, const Expunged& expunged, const Hidden& hidden, ExpungedInput input) {
  test::append(input, input.mark, input.change);
  require(check_hidden(world, expunged, input).messages.numbers == hidden.messages.numbers, "appended mail changes nothing");
  const std::size_t changed = input.change % input.records.size();
  input.records[changed].head_hash ^= 1;
  for (const auto& batch : check_hidden(world, expunged, input).holding) require(batch.header.count <= changed, "a change voids a batch");
}

/// The next session deletes every message of which `mark` has the bit.
void check_addition(World& world, const Expunged& expunged, const Hidden& hidden, const ExpungedInput& input) {
  ExpungedBatch batch;
  batch.header.count = input.records.size();
  batch.header.records_hash = listing::hash_records(input.records);
  std::set<std::uint32_t> want{hidden.messages.numbers.begin(), hidden.messages.numbers.end()};
  for (std::uint32_t i = 0; i < input.records.size(); ++i) {
    if ((input.mark >> i % 8 & 1) == 0) continue;
    batch.entries.push_back({.offset = input.records[i].offset, .length = input.length(i), .digest = input.records[i].digest, .number = i});
    want.insert(i);
  }
  if (batch.entries.empty()) return;
  world.fs.put(kExpungedName, input.file);
  bool in_doubt = false;
  require(add_batch(world.context, kFolder, expunged, batch, in_doubt).has_value() && !in_doubt, "a batch is added");
  const auto more = world.load();
  require(more.batches.size() == expunged.batches.size() + 1 && begins_with(more.batches, expunged.batches), "it stands behind the others");
  require(octets_of(more.batches.back()) == octets_of(batch), "it is read as it was written");
  const auto& numbers = check_hidden(world, more, input).messages.numbers;
  require(std::equal(numbers.begin(), numbers.end(), want.begin(), want.end()), "and hides what was deleted, and nothing else");
}

/// Forgetting what is void hides and shows nothing.
void check_forgetting(World& world, const Expunged& expunged, const Hidden& hidden, const ExpungedInput& input) {
  world.fs.put(kExpungedName, input.file);
  forget_void(world.context, kFolder, expunged, hidden);
  const auto left = world.load();
  require(left.batches.size() == hidden.holding.size() && begins_with(left.batches, hidden.holding), "what holds is kept");
  require(left.there == !hidden.holding.empty(), "a file of which nothing holds is gone");
  require(check_hidden(world, left, input).messages.numbers == hidden.messages.numbers, "what is hidden stays hidden");
  require(remove_expunged(world.context, kFolder).has_value() && !world.load().there, "the file can be removed");
}

/// Due is decided for any sum and any time.
void check_due(World& world, const Expunged& expunged, const ExpungedInput& input) {
  const ExpungeRules patient{.deferred = true, .share_percent = 100, .after_s = 31'536'000};
  const ExpungeRules hasty{.deferred = true, .share_percent = 1, .after_s = 1};
  if (is_due(world.context, patient, expunged, input.mark, input.end))
    require(is_due(world.context, hasty, expunged, input.mark, input.end), "what is due with patience is due without");
  if (!expunged.empty() && expunged.oldest_ns() > world.clock.realtime_ns() + 60'000'000'000)
    require(is_due(world.context, patient, expunged, 0, input.end), "a deletion in the future is due");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  const auto input = test::read_input(data, size);
  const auto expunged = world.load(input.file);
  check_batches(expunged, input.file);
  const auto hidden = check_hidden(world, expunged, input);
  check_cut(world, expunged, input);
  check_changes(world, expunged, hidden, input);
  check_addition(world, expunged, hidden, input);
  check_forgetting(world, expunged, hidden, input);
  check_due(world, expunged, input);
  return 0;
}
