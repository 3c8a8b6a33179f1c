// SPDX-License-Identifier: MIT
// Updates that the fault tests run: what the spool holds, what is deleted, what arrives meanwhile, what must be left.
#pragma once

#include <string>
#include <vector>

#include "tests/fault/maildrop_fixture.h"

namespace qpop::test {

struct Scenario {
  std::string name;
  std::string spool;              ///< when the session opens the maildrop
  std::vector<unsigned> deleted;  ///< marked by the session
  std::string arrived;            ///< appended before the update
  std::string before;             ///< spool when nothing was removed
  std::string after;              ///< spool when the update is complete
  std::string after_full_disk{};  ///< the same where there was no room to repair its end
  std::string delivery;           ///< a message of this format, for tests that deliver later
};

inline Scenario make_scenario(std::string name, const std::vector<std::string>& messages, std::vector<unsigned> deleted,
                              const std::string& arrived, const std::string& delivery,
                              const std::string& end_repair = "") {
  Scenario out{.name = std::move(name),
               .spool = {},
               .deleted = std::move(deleted),
               .arrived = arrived,
               .before = {},
               .after = {},
               .after_full_disk = {},
               .delivery = delivery};
  for (unsigned i = 0; i < messages.size(); ++i) {
    out.spool += messages[i];
    if (std::find(out.deleted.begin(), out.deleted.end(), i) == out.deleted.end()) out.after += messages[i];
  }
  out.before = out.spool + arrived;
  out.after_full_disk = out.after + arrived;
  out.after += arrived + end_repair;
  return out;
}

/// Small messages, so that the sectors of old and new places overlap in every way, and some of more than a sector.
inline std::vector<Scenario> scenarios() {
  std::vector<Scenario> out;
  for (const bool mmdf : {false, true}) {
    const auto message = [&](unsigned number, std::size_t body) {
      return mmdf ? mmdf_message(number, body) : mbox_message(number, body);
    };
    const std::vector<std::string> m{message(1, 100), message(2, 1300), message(3, 50), message(4, 600),
                                     message(5, 100)};
    const std::string fresh = message(8, 400);
    const std::string delivery = message(9, 200);
    const std::string kind = mmdf ? "MMDF " : "mbox ";
    const auto add = [&](const std::string& name, std::vector<unsigned> deleted, bool with_arrival = true) {
      out.push_back(make_scenario(kind + name, m, deleted, "", delivery));
      if (with_arrival) out.push_back(make_scenario(kind + name + ", new mail", m, deleted, fresh, delivery));
    };
    add("first", {0});
    add("middle", {2});
    add("last", {4});
    add("every second", {0, 2, 4});
    add("the other second", {1, 3}, false);
    add("all", {0, 1, 2, 3, 4});
    add("all but the last", {0, 1, 2, 3}, false);
    out.push_back(make_scenario(kind + "one alone", {m[0]}, {0}, "", delivery));
    const std::size_t missing = mmdf ? kSeparator.size() : 2;
    auto cut = m;
    cut.back().resize(cut.back().size() - missing);
    out.push_back(
        make_scenario(kind + "first, last one has no end", cut, {0}, "", delivery, mmdf ? kSeparator : "\n\n"));
    // Equal messages: the place of the cut looks like the place of a message.
    out.push_back(make_scenario(kind + "twins", {m[0], m[0], m[0], m[0]}, {1}, "", delivery));
  }
  return out;
}

/// One session up to the point where the update starts.
class Session {
 public:
  Session(const MaildropFixture& drop, const Scenario& scenario) {
    drop.write_spool(scenario.spool);
    Process process{drop};
    auto opened = process.open();
    if (!opened) throw std::runtime_error(opened.error().message());
    request_ = request_for(*opened, scenario.deleted);
    lock_ = std::move(opened->session_lock);
    if (!scenario.arrived.empty()) drop.append_spool(scenario.arrived);
  }
  [[nodiscard]] const spool::UpdateRequest& request() const { return request_; }
  /// The session process ends.
  void end() { lock_.reset(); }

 private:
  spool::UpdateRequest request_;
  base::UniqueFd lock_;
};

}  // namespace qpop::test
