// SPDX-License-Identifier: MIT
// A maildrop in a temporary folder, and what the tests do with it.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/listing/listing.h"
#include "common/spool/maildrop.h"
#include "tests/fault/fault_file_system.h"

namespace qpop::test {

inline const std::string kPostmark = "From ada@example.org Thu Nov 29 23:33:09 1973\n";
inline const std::string kSeparator = "\x01\x01\x01\x01\n";

inline std::string mbox_message(unsigned number, std::size_t body = 100) {
  const std::string n = std::to_string(number);
  std::string text = kPostmark + "Message-Id: <" + n + "@example.org>\nSubject: message " + n + "\n\n";
  for (std::size_t i = 0; i < body; i += 50)
    text += "line " + std::to_string(i) + " of message " + n + " and some more text\n";
  return text + "\n";
}

inline std::string mmdf_message(unsigned number, std::size_t body = 100) {
  const std::string text = mbox_message(number, body);
  return kSeparator + text.substr(kPostmark.size()) + kSeparator;
}

/// In memory where there is such a folder: the tests sync thousands of times.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& where = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") {
    path_ = where + "/qpop-test.XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp");
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class MaildropFixture {
 public:
  MaildropFixture() { open_folders(folder_.path(), folder_.path()); }
  /// Spool and state below folders of the caller, on file systems of his choice.
  MaildropFixture(const std::string& spool_in, const std::string& state_in) { open_folders(spool_in, state_in); }

  [[nodiscard]] spool::MaildropPaths paths() const {
    return {.spool_folder_fd = spool_folder_.get(),
            .spool_name = "ada",
            .state_folder_fd = state_folder_.get(),
            .owner_uid = static_cast<std::uint32_t>(::getuid())};
  }
  [[nodiscard]] std::string spool_path() const { return spool_in_ + "/spool/ada"; }
  [[nodiscard]] std::string lock_path() const { return spool_path() + ".lock"; }
  [[nodiscard]] std::string state_path(const std::string& name) const { return state_in_ + "/state/" + name; }
  [[nodiscard]] int spool_folder() const { return spool_folder_.get(); }
  [[nodiscard]] int state_folder() const { return state_folder_.get(); }

  static void write_file(const std::string& path, const std::string& bytes) { put(path, O_TRUNC, bytes); }
  static void append_file(const std::string& path, const std::string& bytes) { put(path, O_APPEND, bytes); }
  /// Empty when there is no such file.
  static std::string read_file(const std::string& path) {
    const base::UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat status {};
    if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return {};
    std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
    if (::read(fd.get(), bytes.data(), bytes.size()) != status.st_size) throw std::runtime_error("read " + path);
    return bytes;
  }
  void write_spool(const std::string& bytes) const {
    write_file(spool_path(), bytes);
    age_spool();
  }
  void append_spool(const std::string& bytes) const {
    append_file(spool_path(), bytes);
    age_spool();
  }
  [[nodiscard]] std::string spool() const { return read_file(spool_path()); }

  /// Puts the modification time back far enough for the index to trust it; every call gives another one.
  void age_spool() const {
    static std::int64_t count = 0;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const timespec times[2] = {{now.tv_sec - 100, 0}, {now.tv_sec - 50, ++count % 1'000'000'000}};
    ::utimensat(AT_FDCWD, spool_path().c_str(), times, 0);
  }

  [[nodiscard]] std::vector<std::string> state_names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{state_in_ + "/state"})
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  /// As new, but for the spool's inode when it is kept.
  void clear(bool keep_spool = false) const {
    for (const auto& name : state_names()) ::unlinkat(state_folder_.get(), name.c_str(), 0);
    ::unlink(lock_path().c_str());
    if (!keep_spool) ::unlink(spool_path().c_str());
  }

 private:
  static void put(const std::string& path, int flag, const std::string& bytes) {
    const base::UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flag, 0600)};
    if (!fd.valid() || ::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("write " + path);
  }
  void open_folders(const std::string& spool_in, const std::string& state_in) {
    spool_in_ = spool_in;
    state_in_ = state_in;
    const auto open = [](const std::string& path) {
      if (::mkdir(path.c_str(), 0700) != 0) throw std::runtime_error("mkdir " + path);
      return base::UniqueFd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    };
    spool_folder_ = open(spool_in + "/spool");
    state_folder_ = open(state_in + "/state");
  }

  TemporaryFolder folder_;
  std::string spool_in_;
  std::string state_in_;
  base::UniqueFd spool_folder_;
  base::UniqueFd state_folder_;
};

/// A process's view of the maildrop: its file system, clock and dotlock.
template <class Fs>
class BasicProcess {
 public:
  explicit BasicProcess(const MaildropFixture& fixture, Fault fault = {})
      : fixture_(fixture), fs(clock, fault), dotlock_(fs, clock, fixture.spool_folder(), "ada") {}

  [[nodiscard]] spool::Context context() { return {.fs = fs, .clock = clock, .dotlock = dotlock_, .boot = boot}; }
  auto open(const spool::MaildropSettings& settings = {}) {
    return spool::open_maildrop(context(), fixture_.paths(), settings);
  }
  auto update(const spool::UpdateRequest& request, const spool::MaildropSettings& settings = {}) {
    return spool::update_maildrop(context(), fixture_.paths(), settings, request);
  }
  auto recover(const spool::MaildropSettings& settings = {}) {
    return spool::recover_maildrop(context(), fixture_.paths(), settings);
  }
  /// Time has passed, and the processes that were there before are gone.
  void be_later() {
    clock.advance_ms(files::kStaleAgeMs + 1000);
    fs.set_processes_exist(false);
  }

 private:
  const MaildropFixture& fixture_;

 public:
  FakeClock clock;
  Fs fs;
  std::uint64_t boot = 0;  ///< which run of the kernel it lives in; 0: it does not know

 private:
  spool::DirectDotlock dotlock_;
};
using Process = BasicProcess<FaultFileSystem>;

/// What a session asks for after it opened the maildrop.
inline spool::UpdateRequest request_for(const spool::OpenedMaildrop& opened, const std::vector<unsigned>& deleted,
                                        const std::vector<unsigned>& retrieved = {}) {
  spool::UpdateRequest request;
  request.session_lock_fd = opened.session_lock.get();
  request.listing_fd = opened.listing.get();
  request.count = opened.count;
  request.records_hash = listing::ListingReader::open(opened.listing.get())->header().records_hash;
  request.deleted.resize(opened.count);
  for (const auto index : deleted) request.deleted.at(index) = true;
  if (!retrieved.empty()) request.retrieved.resize(opened.count);
  for (const auto index : retrieved) request.retrieved.at(index) = true;
  return request;
}

/// The octets of every message without postmark and trailer, read as a session does.
inline std::vector<std::string> contents_of(const spool::OpenedMaildrop& opened) {
  std::vector<std::string> out;
  const auto reader = listing::ListingReader::open(opened.listing.get());
  for (std::uint32_t i = 0; i < reader->count(); ++i) {
    const auto message = reader->message(i);
    std::string bytes(message->content_length, '\0');
    const auto got =
        ::pread(opened.spool.get(), bytes.data(), bytes.size(), static_cast<off_t>(message->content_offset));
    if (got != static_cast<ssize_t>(bytes.size())) throw std::runtime_error("pread");
    out.push_back(bytes);
  }
  return out;
}

inline std::vector<std::string> unique_ids_of(const spool::OpenedMaildrop& opened) {
  std::vector<std::string> out;
  const auto reader = listing::ListingReader::open(opened.listing.get());
  const auto records = reader->all_records();
  for (const auto& record : *records) out.emplace_back(record.unique_id());
  return out;
}

}  // namespace qpop::test
