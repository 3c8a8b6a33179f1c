// SPDX-License-Identifier: MIT
// The kernel behind a counter: fails the n-th call, shortens the n-th write, or lets the process "die" at the n-th
// call.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/spool/context.h"
#include "tests/fault/fake_clock.h"

namespace qpop::test {

struct Fault {
  enum class Kind : std::uint8_t {
    none,
    fail_once,
    fail_from,
    fail_alternate,  ///< the call and every second one behind it: what is called again, works
    short_write,
    short_transfers,  ///< this and all later reads and writes do half of what was asked
    die,
    die_in_write,
  };
  Kind kind = Kind::none;
  std::size_t at = 0;  ///< number of the call, from 0; for short_write and die_in_write of the write
  int errno_value = EIO;
  std::string_view only{};  ///< fail_once, fail_from: counts the calls whose name begins so, and fails no other
};

class FaultFileSystem : public spool::SystemFileSystem {
 public:
  explicit FaultFileSystem(FakeClock& clock, Fault fault = {}) : clock_(clock), fault_(fault) {}

  [[nodiscard]] std::size_t calls() const { return calls_.size(); }
  [[nodiscard]] std::size_t writes() const { return writes_; }
  [[nodiscard]] const std::vector<std::string>& log() const { return calls_; }
  [[nodiscard]] std::size_t count(std::string_view name) const {
    std::size_t found = 0;
    for (const auto& call : calls_) found += call == name ? 1U : 0U;
    return found;
  }
  /// Octets that all writes together have written.
  [[nodiscard]] std::uint64_t octets_written() const { return octets_written_; }
  [[nodiscard]] bool dead() const { return dead_; }
  /// Octets that the write left in which the process died.
  [[nodiscard]] std::uint64_t left_by_dead_write() const { return left_by_dead_write_; }
  /// The next process: calls work again.
  void revive() {
    dead_ = false;
    left_by_dead_write_ = 0;
    fault_ = {};
  }
  void set_processes_exist(bool exist) { processes_exist_ = exist; }
  /// Called before every call with its name; may change files as another program would.
  std::function<void(FaultFileSystem&, std::string_view call)> intruder;
  void* intruder_data = nullptr;

  base::Result<base::UniqueFd> open_at(int folder, const std::string& name, int flags, unsigned mode) override {
    if (auto error = enter("open " + name)) return *error;
    return SystemFileSystem::open_at(folder, name, flags, mode);
  }
  base::Result<spool::FileStatus> status(int fd) override {
    if (auto error = enter("status")) return *error;
    return SystemFileSystem::status(fd);
  }
  base::Result<spool::FileStatus> status_at(int folder, const std::string& name) override {
    if (auto error = enter("status_at " + name)) return *error;
    return SystemFileSystem::status_at(folder, name);
  }
  base::Result<std::size_t> read_at(int fd, std::span<char> out, std::uint64_t offset) override {
    if (auto error = enter("read")) return *error;
    if (transfers_are_short()) out = out.first((out.size() + 1) / 2);
    return SystemFileSystem::read_at(fd, out, offset);
  }
  base::Result<std::size_t> write_at(int fd, std::string_view bytes, std::uint64_t offset) override {
    if (auto error = enter("write")) return *error;
    const bool chosen = writes_++ == fault_.at;
    const std::size_t half = (bytes.size() + 1) / 2;
    if ((chosen && fault_.kind == Fault::Kind::short_write) || transfers_are_short())
      return SystemFileSystem::write_at(fd, bytes.substr(0, half), offset);
    if (chosen && fault_.kind == Fault::Kind::die_in_write) {
      // A signal stops a write between two pages, a power loss between two sectors.
      const std::uint64_t end = (offset + half) / 512 * 512;
      if (end > offset) {
        left_by_dead_write_ = std::min<std::uint64_t>(end - offset, bytes.size());
        static_cast<void>(SystemFileSystem::write_at(fd, bytes.substr(0, left_by_dead_write_), offset));
      }
      dead_ = true;
      return base::Error::from_errno(EIO, "dead");
    }
    octets_written_ += bytes.size();
    return SystemFileSystem::write_at(fd, bytes, offset);
  }
  base::Status truncate(int fd, std::uint64_t size) override {
    if (auto error = enter("truncate")) return *error;
    return SystemFileSystem::truncate(fd, size);
  }
  base::Status allocate(int fd, std::uint64_t size) override {
    if (auto error = enter("allocate")) return *error;
    return SystemFileSystem::allocate(fd, size);
  }
  base::Status sync_data(int fd) override {
    if (auto error = enter("sync_data")) return *error;
    return SystemFileSystem::sync_data(fd);
  }
  base::Status sync(int fd) override {
    if (auto error = enter("sync")) return *error;
    return SystemFileSystem::sync(fd);
  }
  base::Status sync_directory(int folder) override {
    if (auto error = enter("sync_directory")) return *error;
    return SystemFileSystem::sync_directory(folder);
  }
  base::Status rename_at(int folder, const std::string& from, const std::string& to) override {
    if (auto error = enter("rename " + to)) return *error;
    return SystemFileSystem::rename_at(folder, from, to);
  }
  base::Status link_at(int folder, const std::string& from, const std::string& to) override {
    if (auto error = enter("link " + to)) return *error;
    return SystemFileSystem::link_at(folder, from, to);
  }
  base::Result<base::UniqueFd> unnamed_file(int folder, unsigned mode) override {
    if (auto error = enter("unnamed_file")) return *error;
    return SystemFileSystem::unnamed_file(folder, mode);
  }
  base::Status name_file(int fd, int folder, const std::string& name) override {
    if (auto error = enter("name_file " + name)) return *error;
    return SystemFileSystem::name_file(fd, folder, name);
  }
  base::Status unlink_at(int folder, const std::string& name) override {
    if (auto error = enter("unlink " + name)) return *error;
    return SystemFileSystem::unlink_at(folder, name);
  }
  base::Status make_directory_at(int folder, const std::string& name, unsigned mode) override {
    if (auto error = enter("mkdir " + name)) return *error;
    return SystemFileSystem::make_directory_at(folder, name, mode);
  }
  base::Status close(base::UniqueFd fd) override {
    if (auto error = enter("close")) return *error;
    return SystemFileSystem::close(std::move(fd));
  }
  base::Result<bool> try_lock_record(int fd) override {
    if (auto error = enter("lock_record")) return *error;
    return SystemFileSystem::try_lock_record(fd);
  }
  base::Status unlock_record(int fd) override {
    if (auto error = enter("unlock_record")) return *error;
    return SystemFileSystem::unlock_record(fd);
  }
  base::Result<bool> try_flock(int fd) override {
    if (auto error = enter("flock")) return *error;
    return SystemFileSystem::try_flock(fd);
  }
  base::Status unlock_flock(int fd) override {
    if (auto error = enter("unlock_flock")) return *error;
    return SystemFileSystem::unlock_flock(fd);
  }
  /// Refused, or our own intruders would wait for it.
  base::Result<bool> try_lease(int) override {
    if (auto error = enter("lease")) return *error;
    return false;
  }
  base::Status set_times(int fd, std::int64_t atime_ns, std::int64_t mtime_ns) override {
    if (auto error = enter("set_times")) return *error;
    return SystemFileSystem::set_times(fd, atime_ns, mtime_ns);
  }
  base::Result<base::UniqueFd> memory_file() override {
    if (auto error = enter("memory_file")) return *error;
    return SystemFileSystem::memory_file();
  }
  base::Status seal(int fd) override {
    if (auto error = enter("seal")) return *error;
    return SystemFileSystem::seal(fd);
  }
  void sleep_ms(std::uint32_t duration) override { clock_.advance_ms(duration); }
  bool process_exists(std::int64_t pid) override { return processes_exist_ && SystemFileSystem::process_exists(pid); }
  std::string host_name() override { return "testhost"; }
  std::string boot_name() override { return boot + " 4026531836"; }
  std::string boot = "first-boot";

 private:
  [[nodiscard]] bool transfers_are_short() const {
    return fault_.kind == Fault::Kind::short_transfers && calls_.size() > fault_.at;
  }
  /// The error of this call, if it is to fail.
  std::optional<base::Error> enter(std::string call) {
    if (dead_) return base::Error::from_errno(EIO, "dead");
    if (auto call_him = intruder) call_him(*this, call);  // a copy: he may take himself away
    const bool meant = call.starts_with(fault_.only);
    const std::size_t number = fault_.only.empty() ? calls_.size() : meant_;
    meant_ += meant ? 1U : 0U;
    calls_.push_back(std::move(call));
    if (!meant) return std::nullopt;
    if (fault_.kind == Fault::Kind::die && number == fault_.at) {
      dead_ = true;
      return base::Error::from_errno(EIO, "dead");
    }
    const bool fails =
        (fault_.kind == Fault::Kind::fail_once && number == fault_.at) ||
        (fault_.kind == Fault::Kind::fail_from && number >= fault_.at) ||
        (fault_.kind == Fault::Kind::fail_alternate && number >= fault_.at && (number - fault_.at) % 2 == 0);
    if (!fails) return std::nullopt;
    return base::Error::from_errno(fault_.errno_value, calls_.back());
  }

  FakeClock& clock_;
  Fault fault_;
  std::vector<std::string> calls_;
  std::size_t writes_ = 0;
  std::size_t meant_ = 0;
  std::uint64_t octets_written_ = 0;
  std::uint64_t left_by_dead_write_ = 0;
  bool dead_ = false;
  bool processes_exist_ = true;
};

}  // namespace qpop::test
