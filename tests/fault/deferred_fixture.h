// SPDX-License-Identifier: MIT
// Sessions that delete with expunge = deferred, and what the next one sees.
#pragma once

#include <string>
#include <vector>

#include "tests/fault/scenarios.h"

namespace qpop::test {

inline std::string joined(const std::vector<std::string>& units) {
  std::string all;
  for (const auto& unit : units) all += unit;
  return all;
}

/// As a client sees them: without postmark and the empty line behind.
inline std::vector<std::string> contents(const std::vector<std::string>& units) {
  std::vector<std::string> out;
  for (const auto& unit : units) out.push_back(unit.substr(kPostmark.size(), unit.size() - kPostmark.size() - 1));
  return out;
}

inline spool::MaildropSettings with(const spool::ExpungeRules& rules) {
  spool::MaildropSettings settings;
  settings.expunge = rules;
  return settings;
}

/// Deferred, and neither share nor time make a rewrite due.
inline spool::MaildropSettings never_due() { return with({.deferred = true, .share_percent = 1000, .after_s = 31'536'000}); }

/// The messages that a client of this session sees, without postmark and trailer.
inline std::vector<std::string> visible_in(const spool::OpenedMaildrop& opened) {
  auto all = opened.count == 0 ? std::vector<std::string>{} : contents_of(opened);
  if (!opened.hidden.valid()) return all;
  const auto reader = listing::ListingReader::open(opened.listing.get());
  const auto hidden = listing::read_hidden(opened.hidden.get(), reader->header());
  if (!hidden) throw std::runtime_error(hidden.error().message());
  for (auto number = hidden->numbers.rbegin(); number != hidden->numbers.rend(); ++number) all.erase(all.begin() + *number);
  return all;
}

inline std::vector<std::string> visible(const MaildropFixture& drop, const spool::MaildropSettings& settings) {
  Process process{drop};
  const auto opened = process.open(settings);
  if (!opened) throw std::runtime_error(opened.error().message());
  return visible_in(*opened);
}

struct Deletion {
  std::uint32_t removed = 0;
  bool told_at_commit = false;
  std::string error{};
};

/// A session that marks messages, by their place in the listing, and ends with QUIT. The open leaves hidden messages where they are.
inline Deletion delete_in_session(const MaildropFixture& drop, const std::vector<unsigned>& deleted, const spool::MaildropSettings& settings) {
  Process opener{drop};
  auto opening = settings;
  opening.expunge.compacts = false;
  const auto opened = opener.open(opening);
  if (!opened) throw std::runtime_error(opened.error().message());
  Process process{drop};
  Deletion out;
  auto request = request_for(*opened, deleted);
  request.committed = [&](std::uint64_t) { out.told_at_commit = true; };
  const auto updated = process.update(request, settings);
  if (updated) out.removed = updated->removed;
  if (!updated) out.error = updated.error().message();
  return out;
}

}  // namespace qpop::test
