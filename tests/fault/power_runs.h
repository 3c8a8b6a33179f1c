// SPDX-License-Identifier: MIT
// Simulated power losses, one story after another: an update, perhaps with a fault or a death in it and with mail
// coming in, power lost at any point of it, recovery, power lost again, and what is left at the end. Each story follows
// from its seed alone.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "tests/fault/foreign.h"
#include "tests/fault/recording_file_system.h"
#include "tests/fault/verdict.h"

namespace qpop::test {

struct PowerCounts {
  std::uint64_t states = 0;     ///< disks after a power loss that had to be recovered
  std::uint64_t rewritten = 0;  ///< of these: with a foreign rewrite before the recovery
  std::uint64_t lost = 0;
  std::uint64_t torn = 0;
  std::uint64_t duplicated = 0;  ///< without a foreign rewrite
  std::uint64_t wrong = 0;       ///< anything else: a maildrop that cannot be opened, a journal or a lock that is left

  [[nodiscard]] bool clean() const { return lost + torn + duplicated + wrong == 0; }
  [[nodiscard]] std::string text() const;
};

class PowerRuns {
 public:
  /// Runs the story of `seed`. Empty, or what went wrong and how.
  std::string run(std::uint64_t seed, bool in_detail = false);
  [[nodiscard]] const PowerCounts& counts() const { return counts_; }

 private:
  using RecordingProcess = BasicProcess<RecordingFileSystem>;

  /// Where a story stands.
  struct Course {
    const Scenario& scenario;
    std::vector<std::string> delivered{};
    bool may_be_old = true;
    bool may_be_new = true;
    bool no_room = false;  ///< the disk was full once
    bool rewritten = false;
    ForeignRewrite rewrite{};
    std::string text;
  };
  /// A delivery, and behind which step it is durable.
  struct Mail {
    std::size_t step = 0;
    std::string unit;
  };

  void run_next_session(RecordingProcess& process, const Scenario& s, const std::vector<Mail>& mail, std::string text);
  Fault pick_fault();
  std::string next_message(const Scenario& s);
  void hang_delivery_in(RecordingProcess& process, const MaildropFixture& drop, const Scenario& s,
                        std::vector<Mail>& mail);
  void follow(Course course, const Disk& disk, int depth);
  void deliver_now(Course& course);
  void judge(const Course& course);

  std::mt19937 random_;
  MaildropFixture first_;
  MaildropFixture later_;
  PowerCounts counts_;
  unsigned messages_ = 0;
  bool in_detail_ = false;
  std::string fault_;
};

}  // namespace qpop::test
