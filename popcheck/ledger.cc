// SPDX-License-Identifier: MIT
// Writing and reading ledgers. They are proven by verify.cc, which shares nothing with this file but SHA-256.
#include "popcheck/ledger.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "common/base/text.h"
#include "common/digest/digest.h"
#include "common/files/io.h"

namespace qpop::popcheck {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;

constexpr std::uint64_t kMostLedger = 1024UL * 1024 * 1024;

std::string hex(const digest::Digest32& digest) { return base::to_hex(digest::view_of(digest)); }

/// Appends to a new file, hashes what it wrote.
class Writer {
 public:
  static Result<Writer> create(files::FileSystem& fs, int folder, const std::string& name) {
    auto fd = files::again([&] { return fs.open_at(folder, name, O_RDWR | O_CREAT | O_EXCL, 0600); });
    if (!fd) return fd.error().at("make", name);
    return Writer{fs, std::move(*fd)};
  }
  Status add(std::string_view bytes) {
    hash_.add(bytes);
    held_ += bytes;
    return held_.size() < files::kChunk ? Status{} : flush();
  }
  std::string take_hash() { return hex(hash_.take()); }
  Status finish() {
    if (auto put = flush(); !put) return put;
    return files::again([&] { return fs_.sync(fd_.get()); });
  }
  [[nodiscard]] std::uint64_t size() const { return at_ + held_.size(); }

 private:
  Writer(files::FileSystem& fs, UniqueFd fd) : fs_(fs), fd_(std::move(fd)) {}
  Status flush() {
    auto put = files::write_all(fs_, fd_.get(), held_, at_);
    at_ += held_.size();
    held_.clear();
    return put;
  }
  files::FileSystem& fs_;
  UniqueFd fd_;
  digest::Sha256Stream hash_;
  std::string held_;
  std::uint64_t at_ = 0;
};

struct Hashes {
  std::string whole;
  std::vector<std::string> parts;  ///< from each start to the next
};

/// One pass over the octets.
Result<Hashes> hash_parts(check::Bytes& bytes, const std::vector<std::uint64_t>& starts) {
  Hashes out;
  digest::Sha256Stream whole;
  digest::Sha256Stream part;
  std::vector<char> buffer(files::kChunk);
  std::size_t next = 0;  // of the starts
  for (std::uint64_t at = 0; at < bytes.size();) {
    auto got = bytes.read(at, buffer);
    if (!got) return got.error();
    if (*got == 0) return Error{ErrorKind::changed, "the spool became shorter"};
    std::string_view piece{buffer.data(), *got};
    whole.add(piece);
    while (!piece.empty()) {
      while (next < starts.size() && starts[next] <= at) {
        auto hash = hex(part.take());
        if (next > 0) out.parts.push_back(std::move(hash));
        ++next;
      }
      const auto end = next < starts.size() ? std::min<std::uint64_t>(starts[next], at + piece.size()) : at + piece.size();
      part.add(piece.substr(0, static_cast<std::size_t>(end - at)));
      piece.remove_prefix(static_cast<std::size_t>(end - at));
      at = end;
    }
  }
  for (; next < starts.size(); ++next) {
    auto hash = hex(part.take());
    if (next > 0) out.parts.push_back(std::move(hash));
  }
  if (!starts.empty()) out.parts.push_back(hex(part.take()));
  out.whole = hex(whole.take());
  return out;
}

Status write_quarantine(Writer& out, check::Bytes& before, const std::vector<check::Edit>& edits) {
  std::vector<char> buffer(files::kChunk);
  for (const auto& edit : edits) {
    for (std::uint64_t done = 0; done < edit.removed;) {
      const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), edit.removed - done));
      auto got = before.read(edit.offset + done, {buffer.data(), want});
      if (!got) return got.error();
      if (*got == 0) return Error{ErrorKind::changed, "the spool became shorter"};
      if (auto put = out.add({buffer.data(), *got}); !put) return put;
      done += *got;
    }
  }
  return out.finish();
}

Status write_lines(Writer& out, const std::string& path, check::Bytes& before, const check::Plan& plan, std::int64_t now_ns,
                   std::uint64_t removed, const std::string& removed_hash) {
  const auto edits = plan.patch.edits();
  check::PatchedBytes after{before, plan.patch};
  const auto& new_starts = plan.after.units;
  std::vector<std::uint64_t> old_starts;
  old_starts.reserve(new_starts.size());
  for (const auto start : new_starts) old_starts.push_back(plan.patch.original_of(start));
  auto old_hashes = hash_parts(before, old_starts);
  if (!old_hashes) return old_hashes.error();
  auto new_hashes = hash_parts(after, new_starts);
  if (!new_hashes) return new_hashes.error();
  std::uint64_t inserted = 0;
  for (const auto& edit : edits) inserted += edit.inserted.size();
  auto put = out.add(fmt::format("popcheck-ledger 1\nspool {}\nmade {}\nbefore {} {}\nafter {} {}\nquarantine {} {}\nsum {} = {} + {} - {}\n",
                                 path, now_ns, before.size(), old_hashes->whole, after.size(), new_hashes->whole, removed,
                                 removed_hash, before.size(), after.size(), removed, inserted));
  std::int64_t shift = 0;
  for (const auto& edit : edits) {
    if (!put) return put;
    const auto place = static_cast<std::uint64_t>(static_cast<std::int64_t>(edit.offset) + shift);
    put = out.add(fmt::format("edit {} {} {} {} {} {}\n", edit.offset, edit.removed, place, edit.inserted.size(),
                              edit.id == check::Id::count ? std::string_view{"removed"} : check::row_of(edit.id).name,
                              edit.inserted.empty() ? "-" : digest::base64_encode(edit.inserted)));
    shift += static_cast<std::int64_t>(edit.inserted.size()) - static_cast<std::int64_t>(edit.removed);
  }
  for (std::size_t i = 0; i < new_starts.size() && put; ++i) {
    const auto old_end = i + 1 < old_starts.size() ? old_starts[i + 1] : before.size();
    const auto new_end = i + 1 < new_starts.size() ? new_starts[i + 1] : after.size();
    put = out.add(fmt::format("message {} {} {} {} {} {}\n", old_starts[i], old_end - old_starts[i], old_hashes->parts[i], new_starts[i],
                              new_end - new_starts[i], new_hashes->parts[i]));
  }
  if (!put) return put;
  if (auto ended = out.add(fmt::format("end {}\n", out.take_hash())); !ended) return ended;
  return out.finish();
}

/// Words of a line.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}
  std::string_view next() {
    const auto word = rest_.substr(0, rest_.find(' '));
    rest_.remove_prefix(std::min(rest_.size(), word.size() + 1));
    return word;
  }
  std::uint64_t number() {
    const auto value = base::parse_decimal(next());
    good_ = good_ && value.has_value();
    return value.value_or(0);
  }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool good_ = true;
};

}  // namespace

Result<std::string> write_ledger(files::FileSystem& fs, int state, const std::string& path, check::Bytes& before, const check::Plan& plan,
                                 std::int64_t now_ns) {
  const auto name = fmt::format("repair-{:020}", now_ns);
  const auto ledger_name = name + std::string{kLedgerEnding};
  const auto quarantine_name = name + std::string{kQuarantineEnding};
  // The path stands in a line, as it is: who reads it opens it.
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7F'; };
  if (std::ranges::any_of(path, is_control)) return Error{ErrorKind::malformed, "the path of the spool holds control octets, and no ledger can name it"};
  const auto write = [&]() -> Status {
    auto quarantine = Writer::create(fs, state, quarantine_name);
    if (!quarantine) return quarantine.error();
    if (auto put = write_quarantine(*quarantine, before, plan.patch.edits()); !put) return put;
    const auto removed = quarantine->size();
    auto ledger = Writer::create(fs, state, ledger_name);
    if (!ledger) return ledger.error();
    if (auto put = write_lines(*ledger, path, before, plan, now_ns, removed, quarantine->take_hash()); !put) return put;
    return files::again([&] { return fs.sync_directory(state); });
  };
  if (auto written = write(); !written) {
    static_cast<void>(files::remove_if_present(fs, state, ledger_name));
    static_cast<void>(files::remove_if_present(fs, state, quarantine_name));
    return written.error().at("write the ledger");
  }
  return name;
}

Result<Ledger> read_ledger(files::FileSystem& fs, int state, const std::string& name) {
  auto fd = files::again([&] { return fs.open_at(state, name, O_RDONLY | O_NONBLOCK, 0); });
  if (!fd) return fd.error().at("open the ledger", name);
  auto status = fs.status(fd->get());
  if (!status) return status.error();
  if (status->identity.size > kMostLedger) return Error{ErrorKind::limit, "the ledger is too large"};
  std::string text(static_cast<std::size_t>(status->identity.size), '\0');
  if (auto read = files::read_exactly(fs, fd->get(), text, 0); !read) return read.error();
  const Error bad{ErrorKind::malformed, "not a whole ledger"};
  const auto end = text.rfind("end ");
  digest::Sha256Stream hash;
  if (end == std::string::npos) return bad;
  hash.add(std::string_view{text}.substr(0, end));
  if (text.substr(end) != "end " + hex(hash.take()) + "\n") return bad;
  Ledger out;
  std::string_view rest = std::string_view{text}.substr(0, end);
  if (!rest.starts_with("popcheck-ledger 1\n")) return Error{ErrorKind::unsupported, "a ledger of another version"};
  while (!rest.empty()) {
    Words words{rest.substr(0, rest.find('\n'))};
    rest.remove_prefix(std::min(rest.size(), rest.find('\n') + 1));
    const auto kind = words.next();
    if (kind == "spool") out.spool = words.rest();
    if (kind == "before" || kind == "after") {
      (kind == "before" ? out.before_size : out.after_size) = words.number();
      (kind == "before" ? out.before_hash : out.after_hash) = words.next();
    }
    if (kind == "edit") {
      Ledger::Edit edit;
      edit.old_offset = words.number();
      edit.removed = words.number();
      edit.new_offset = words.number();
      edit.inserted = words.number();
      out.edits.push_back(edit);
    }
    if (!words.good()) return bad;
  }
  return out;
}

std::string last_ledger(int state) {
  const int copy = ::openat(state, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, decltype([](DIR* dir) { ::closedir(dir); })> dir{copy < 0 ? nullptr : ::fdopendir(copy)};
  std::string best;
  while (const dirent* entry = dir == nullptr ? nullptr : ::readdir(dir.get())) {
    std::string name = entry->d_name;
    if (!name.starts_with("repair-") || !name.ends_with(kLedgerEnding)) continue;
    name.resize(name.size() - kLedgerEnding.size());
    best = std::max(best, name);
  }
  return best;
}

Result<std::string> hash_of(check::Bytes& bytes, std::uint64_t size) {
  digest::Sha256Stream hash;
  std::vector<char> buffer(files::kChunk);
  for (std::uint64_t at = 0; at < size;) {
    auto got = bytes.read(at, {buffer.data(), static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), size - at))});
    if (!got) return got.error();
    if (*got == 0) break;
    hash.add({buffer.data(), *got});
    at += *got;
  }
  return hex(hash.take());
}

}  // namespace qpop::popcheck
