// SPDX-License-Identifier: MIT
// Updates that the fault tests run: what the spool holds, what is deleted, what arrives meanwhile, what must be left.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/fault/maildrop_fixture.h"

namespace qpop::test {

struct Scenario {
  std::string name{};
  std::string spool{};              ///< when the session opens the maildrop
  std::vector<unsigned> deleted{};  ///< marked by the session
  std::vector<unsigned> retrieved{};  ///< by the session: they get a Status: line when they move
  std::string arrived{};            ///< appended before the update
  std::string before{};             ///< spool when nothing was removed
  std::string after{};              ///< spool when the update is complete
  std::string after_unmarked{};     ///< the same where there was no room for Status: lines
  std::string delivery{};           ///< a message of this format, for tests that deliver later
  /// The spool does not end like a message ends: what is appended by others becomes part of its last message.
  bool open_end = false;
  std::string end_repair{};  ///< what `after` has more than the kept messages, because the last one lacked it
  bool written_first = false;  ///< there is much to do: what is deleted is written down, and the spool rewritten behind the answer
  bool large = false;        ///< more than one piece of a transfer; tests that run every scenario many times take fewer
  std::vector<std::string> units{};  ///< as in the spool: the messages of the session, then those that arrived

  [[nodiscard]] bool is_deleted(std::size_t unit) const {
    return std::find(deleted.begin(), deleted.end(), unit) != deleted.end();
  }
  /// The unit as the update leaves it.
  [[nodiscard]] std::string left(std::size_t unit) const;
  [[nodiscard]] bool crlf() const { return delivery.find("\r\n") != std::string::npos; }
  [[nodiscard]] bool mmdf() const { return delivery.front() == kSeparator.front(); }
};

/// What a message is recognised by: its octets without postmark, separators and the line ends behind it.
[[nodiscard]] std::string_view core_of(std::string_view unit);

/// A message of exactly `octets` octets on disk, at least some 150.
[[nodiscard]] std::string sized_message(unsigned number, std::size_t octets, bool mmdf = false);

/// One more message in the format of the scenario.
[[nodiscard]] std::string more_mail(const Scenario& scenario, unsigned number, std::size_t body = 200);

/// All of them; the same list, in the same order, each time.
[[nodiscard]] const std::vector<Scenario>& scenarios();

/// The one whose name begins so; throws when there is none.
[[nodiscard]] const Scenario& scenario(std::string_view name);

/// One session up to the point where the update starts.
class Session {
 public:
  Session(const MaildropFixture& drop, const Scenario& scenario) {
    drop.write_spool(scenario.spool);
    Process process{drop};
    auto opened = process.open();
    if (!opened) throw std::runtime_error(opened.error().message());
    request_ = request_for(*opened, scenario.deleted, scenario.retrieved);
    if (scenario.written_first) request_.long_update = 0;
    lock_ = std::move(opened->session_lock);
    listing_ = std::move(opened->listing);
    if (!scenario.arrived.empty()) drop.append_spool(scenario.arrived);
  }
  [[nodiscard]] const spool::UpdateRequest& request() const { return request_; }
  /// The session process ends.
  void end() {
    lock_.reset();
    listing_.reset();
  }

 private:
  spool::UpdateRequest request_;
  base::UniqueFd lock_;
  base::UniqueFd listing_;
};

}  // namespace qpop::test
