// SPDX-License-Identifier: MIT
// Unique-ids of other make.
#include "common/spool/naming.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "common/mbox/unique_id.h"
#include "common/spool/journal.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;
using base::UniqueFd;
using listing::ListingHeader;
using listing::Record;
using mbox::UniqueIdForm;

constexpr std::size_t kMostHeader = 64UL * 1024;

/// The file `unique-ids`; nothing when there is none, or none that is whole.
std::optional<std::vector<Record>> read_kept(const Context& context, int folder) {
  FileSystem& fs = context.fs;
  auto fd = again([&] { return fs.open_at(folder, kUniqueIdsName, O_RDONLY | O_NONBLOCK, 0); });
  if (!fd) return std::nullopt;
  auto status = again([&] { return fs.status(fd->get()); });
  ListingHeader header;
  if (!status || !read_exactly(fs, fd->get(), span_of_object(header), 0)) return std::nullopt;
  if (!listing::check_header(header, status->identity.size)) return std::nullopt;
  std::vector<Record> records(header.count);
  const std::span<char> bytes{reinterpret_cast<char*>(records.data()), records.size() * sizeof(Record)};
  if (!read_exactly(fs, fd->get(), bytes, sizeof header)) return std::nullopt;
  if (listing::hash_records(records) != header.records_hash) return std::nullopt;
  return records;
}

Status write_kept(const Context& context, int folder, const std::vector<Record>& records, bool durable) {
  FileSystem& fs = context.fs;
  ListingHeader header;
  listing::seal_header(header, records);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK;
  auto fd = again([&] { return fs.open_at(folder, kUniqueIdsTemporaryName, flags, 0600); });
  if (!fd) return fd.error();
  const std::string_view bytes{reinterpret_cast<const char*>(records.data()), records.size() * sizeof(Record)};
  auto done = write_all(fs, fd->get(), view_of_object(header), 0);
  if (done) done = write_all(fs, fd->get(), bytes, sizeof header);
  if (done && durable) done = again([&] { return fs.sync(fd->get()); });
  if (done) done = again([&] { return fs.rename_at(folder, kUniqueIdsTemporaryName, kUniqueIdsName); });
  if (!done) static_cast<void>(remove_if_present(fs, folder, kUniqueIdsTemporaryName));
  if (done && durable) done = again([&] { return fs.sync_directory(folder); });
  return done;
}

Record named(const Record& record, std::string_view unique_id) {
  Record out = record;
  mbox::set_unique_id(out, unique_id);
  return out;
}

/// Finds the unique-ids that messages without a known one should have.
class Preferences {
 public:
  Preferences(const Context& context, int fd, UniqueIdForm form, bool honour) : context_(context), fd_(fd), form_(form), honour_(honour) {}

  /// `known` grows by a record for each message whose unique-id is not to be made from its digest.
  Status add(const std::vector<Record>& records, std::vector<Record>& known) {
    std::map<digest::Digest16, std::size_t> covered;
    for (const auto& record : known) {
      ++covered[record.digest];
      taken_.insert(std::string{record.unique_id()});
    }
    std::vector<const Record*> fresh;
    for (const auto& record : records) {
      if (const auto found = covered.find(record.digest); found != covered.end() && found->second > 0) {
        --found->second;
      } else {
        fresh.push_back(&record);
      }
    }
    if (auto done = take_stored(fresh, known); !done) return done;
    return form_ == UniqueIdForm::own ? Status{} : compute(fresh, known);
  }

 private:
  /// X-UIDL: fields, unless two messages have the same: nobody can tell then which of them the client knows.
  Status take_stored(std::vector<const Record*>& fresh, std::vector<Record>& known) {
    if (!honour_) return {};
    std::map<std::string, std::vector<const Record*>> stored;
    for (const auto* record : fresh) {
      if ((record->flags & listing::kFlagHasUniqueId) == 0) continue;
      auto header = read_header(context_.fs, fd_, *record);
      if (!header) return header.error();
      if (auto value = mbox::stored_unique_id(*header)) stored[*value].push_back(record);
    }
    std::set<const Record*> honoured;
    for (const auto& [value, records] : stored) {
      if (records.size() > 1 || !taken_.insert(value).second) continue;
      known.push_back(named(*records.front(), value));
      honoured.insert(records.front());
    }
    std::erase_if(fresh, [&](const Record* record) { return honoured.contains(record); });
    return {};
  }

  Status compute(const std::vector<const Record*>& fresh, std::vector<Record>& known) {
    for (const auto* record : fresh) {
      auto header = read_header(context_.fs, fd_, *record);
      if (!header) return header.error();
      std::string postmark(std::min<std::size_t>(record->content_start, 2048), '\0');
      if (auto read = read_exactly(context_.fs, fd_, postmark, record->offset); !read) return read;
      const auto value = mbox::qpopper_unique_id(form_, postmark, *header);
      auto unique = value;
      for (unsigned ordinal = 2; !taken_.insert(unique).second; ++ordinal) unique = value + "." + std::to_string(ordinal);
      known.push_back(named(*record, unique));
    }
    return {};
  }

  const Context& context_;
  int fd_;
  UniqueIdForm form_;
  bool honour_;
  std::set<std::string> taken_;
};

}  // namespace

Result<std::string> read_header(FileSystem& fs, int fd, const Record& record) {
  std::string header(std::min<std::size_t>(record.header_length, kMostHeader), '\0');
  if (auto read = read_exactly(fs, fd, header, record.offset + record.content_start); !read) return read.error();
  return header;
}

Status name_messages(const Context& context, const MaildropPaths& paths, int fd, std::vector<Record>& records,
                     const std::vector<Record>* known) {
  const auto kept = known == nullptr ? read_kept(context, paths.state_folder_fd) : std::nullopt;
  std::vector<Record> names = known != nullptr ? *known : kept.value_or(std::vector<Record>{});
  const bool first = known == nullptr && !kept;
  const std::size_t before = names.size();
  // The usual case costs no look at a header.
  if (first || paths.unique_id_form != UniqueIdForm::own) {
    if (auto done = Preferences{context, fd, paths.unique_id_form, first}.add(records, names); !done) return done;
  }
  mbox::assign_unique_ids(records, names);
  if (first) static_cast<void>(write_kept(context, paths.state_folder_fd, {names.begin() + static_cast<std::ptrdiff_t>(before), names.end()}, false));
  return {};
}

Status name_new_messages(const Context& context, const MaildropPaths& paths, int fd, std::vector<Record>& records, std::size_t named) {
  if (paths.unique_id_form == UniqueIdForm::own) {
    mbox::extend_unique_ids(records, named);
    return {};
  }
  const std::vector<Record> known{records.begin(), records.begin() + static_cast<std::ptrdiff_t>(named)};
  return name_messages(context, paths, fd, records, &known);
}

void note_first_sight(const Context& context, const MaildropPaths& paths) {
  for (const auto* name : {kUniqueIdsName, kIndexName}) {
    const auto there = exists(context.fs, paths.state_folder_fd, name);
    if (!there || *there) return;
  }
  static_cast<void>(write_kept(context, paths.state_folder_fd, {}, false));
}

Status import_unique_ids(const Context& context, const MaildropPaths& paths, const std::vector<Record>& records) {
  if (auto removed = remove_if_present(context.fs, paths.state_folder_fd, kIndexName); !removed) return removed.error().at("remove the index");
  return write_kept(context, paths.state_folder_fd, records, true);
}

}  // namespace qpop::spool
