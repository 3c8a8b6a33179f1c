// SPDX-License-Identifier: MIT
// What must be true after a disturbed update.
#include "tests/fault/verdict.h"

#include <fcntl.h>

#include <numeric>

namespace qpop::test {

namespace {

std::string joined(const std::vector<std::string>& pieces) {
  return std::accumulate(pieces.begin(), pieces.end(), std::string{});
}

std::size_t occurrences(std::string_view text, std::string_view what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size())) ++count;
  return count;
}

/// Which kind of wrong: something is missing, something is there twice, or else something is in pieces.
Damage damage_of(const std::string& spool, const Expected& expected) {
  const Scenario& s = expected.scenario;
  bool doubled = false;
  const auto look = [&](const std::string& unit, bool must_be) {
    std::size_t most = 0;
    std::size_t least = 0;
    for (std::size_t i = 0; i < s.units.size(); ++i) {
      if (s.units[i] != unit) continue;
      ++most;
      if (!s.is_deleted(i)) ++least;
    }
    for (const auto& other : expected.delivered) {
      if (other == unit) ++most, ++least;
    }
    std::size_t found = occurrences(spool, core_of(unit));
    for (std::size_t i = 0; i < s.units.size(); ++i) {
      if (s.units[i] == unit && s.left(i) != unit) found += occurrences(spool, core_of(s.left(i)));
    }
    doubled = doubled || found > most;
    return !must_be || found >= least;
  };
  bool complete = true;
  for (std::size_t i = 0; i < s.units.size(); ++i) complete = look(s.units[i], !s.is_deleted(i)) && complete;
  for (const auto& unit : expected.delivered) complete = look(unit, true) && complete;
  if (!complete) return Damage::lost;
  return doubled ? Damage::duplicated : Damage::torn;
}

const char* name_of(Damage damage) {
  switch (damage) {
    case Damage::none:
      return "in order";
    case Damage::lost:
      return "mail is lost";
    case Damage::torn:
      return "mail is torn, or some of the deleted came back";
    case Damage::duplicated:
      return "mail is there twice";
  }
  return "";
}

/// The messages that the listing shows are those that must be there, each whole.
std::string judge_listing(const spool::OpenedMaildrop& opened, const std::string& spool, const Expected& expected,
                          bool is_new) {
  const auto reader = listing::ListingReader::open(opened.listing.get());
  if (!reader) return "the listing cannot be read";
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < reader->count(); ++i) {
    const auto message = reader->message(i);
    if (!message || message->unit_offset != end) return "the messages of the listing do not follow each other";
    end += message->unit_length;
  }
  if (end != spool.size()) return "octets that belong to no message of the listing";
  const Scenario& s = expected.scenario;
  if (s.open_end && !expected.delivered.empty()) return {};  // the deliveries stuck to the last message
  const bool unmarked = spool.starts_with(s.after_unmarked);
  std::vector<std::string> want;
  for (std::size_t i = 0; i < s.units.size(); ++i) {
    if (!is_new || !s.is_deleted(i)) want.emplace_back(core_of(is_new && !unmarked ? s.left(i) : s.units[i]));
  }
  for (const auto& unit : expected.delivered) want.emplace_back(core_of(unit));
  const auto got = opened.count == 0 ? std::vector<std::string>{} : contents_of(opened);
  if (got.size() != want.size()) {
    return "the listing has " + std::to_string(got.size()) + " messages instead of " + std::to_string(want.size());
  }
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (core_of(got[i]) != want[i]) return "message " + std::to_string(i + 1) + " is not the one that was there";
  }
  return {};
}

/// A lock file that the index made unnecessary to look at: new mail makes the next open look.
std::string judge_left_lock(const MaildropFixture& drop, const Scenario& s) {
  drop.append_spool(s.delivery);
  Process later{drop};
  later.be_later();
  const auto opened = later.open();
  if (!opened) return "a left lock file keeps the maildrop closed: " + opened.error().message();
  return ::access(drop.lock_path().c_str(), F_OK) == 0 ? "a lock file is left for good" : "";
}

}  // namespace

SpoolVerdict judge_spool(const std::string& spool, const Expected& expected) {
  const Scenario& s = expected.scenario;
  const std::string delivered = joined(expected.delivered);
  const bool is_old = spool == s.before + delivered;
  bool is_new = spool == s.after + delivered || (expected.no_room && spool == s.after_unmarked + delivered);
  // The rewrite behind a crash does not know what was retrieved.
  is_new = is_new || (s.written_first && spool == s.after_unmarked + delivered);
  if (s.open_end && (expected.no_room || !delivered.empty())) {
    // On a full disk an open end is not repaired; what was appended to it before it was looked at needs no repair.
    is_new = is_new || spool == s.after.substr(0, s.after.size() - s.end_repair.size()) + delivered;
  }
  if (is_new && expected.may_be_new) return {.damage = Damage::none, .is_new = true, .text = {}};
  if (is_old && expected.may_be_old) return {.damage = Damage::none, .is_new = s.before == s.after, .text = {}};
  SpoolVerdict verdict{.damage = damage_of(spool, expected), .is_new = is_new, .text = {}};
  if (is_old || is_new) {
    verdict.text = is_old ? "removed mail is back after success was reported" : "mail was removed after a refusal";
    return verdict;
  }
  verdict.text = std::string{"the spool is neither the old nor the new one: "} + name_of(verdict.damage) + ", " +
                 std::to_string(spool.size()) + " octets, " + std::to_string((s.before + delivered).size()) + " or " +
                 std::to_string((s.after + delivered).size()) + " expected";
  return verdict;
}

std::string judge_answer(const MaildropFixture& drop, const base::Result<spool::UpdatedMaildrop>& updated,
                         bool committed, const Expected& expected) {
  Expected now = expected;
  if (updated) {
    now.may_be_old = false;
    if (updated->removed != expected.scenario.deleted.size()) return "a wrong number of removed messages is reported";
    const auto verdict = judge_spool(drop.spool(), now);
    return verdict.text.empty() ? "" : "at once: " + verdict.text;
  }
  if (committed) return {};  // the messages are gone, the client knows, and recovery must see to it
  const auto kind = updated.error().kind();
  if (kind != base::ErrorKind::no_space && kind != base::ErrorKind::changed) return {};
  now.may_be_new = false;
  const auto verdict = judge_spool(drop.spool(), now);
  if (!verdict.text.empty()) return "nothing was removed, the client is told, but " + verdict.text;
  if (::access(drop.state_path("journal").c_str(), F_OK) == 0) {
    return "nothing was removed, the client is told, but a journal stands";
  }
  return {};
}

std::vector<std::string> strange_names(const MaildropFixture& drop) {
  auto names = drop.state_names();
  std::erase_if(names,
                [](const std::string& name) { return name == "index" || name == "session" || name == "reserve" || name == "unique-ids"; });
  return names;
}

std::string strange_name(const MaildropFixture& drop) {
  const auto names = strange_names(drop);
  return names.empty() ? "" : names.front();
}

std::string judge_next_session(const MaildropFixture& drop, const Expected& expected, SpoolVerdict* spool_verdict) {
  Process later{drop};
  later.be_later();
  auto opened = later.open();
  if (!opened) return "the next session cannot open the maildrop: " + opened.error().message();
  const std::string spool = drop.spool();
  const auto verdict = judge_spool(spool, expected);
  if (spool_verdict != nullptr) *spool_verdict = verdict;
  if (!verdict.text.empty()) return verdict.text;
  if (auto wrong = judge_listing(*opened, spool, expected, verdict.is_new); !wrong.empty()) return wrong;
  // Without mail no index is written, so a half written one stays; it is harmless.
  const auto strange = strange_name(drop);
  if (!strange.empty() && !(strange == "index.tmp" && spool.empty())) return "left in the state folder: " + strange;
  if (::access(drop.lock_path().c_str(), F_OK) != 0) return {};
  if (opened->source != spool::ListingSource::from_index && opened->count > 0) return "a lock file is left";
  opened->session_lock.reset();
  return judge_left_lock(drop, expected.scenario);
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1U : 0U;
  return count;
}

}  // namespace qpop::test
