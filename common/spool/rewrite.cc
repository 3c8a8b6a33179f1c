// SPDX-License-Identifier: MIT
// A rewrite is an update whose octets are made: the journal holds everything behind the first change.
#include "common/spool/rewrite.h"

#include <algorithm>

#include "common/spool/recovery.h"
#include "common/spool/spool_file.h"

namespace qpop::spool {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;

}  // namespace

Result<std::uint64_t> rewrite_spool(const Context& context, const MaildropPaths& paths, MailLock& lock, const RewritePlan& plan,
                                    Warnings& warnings) {
  auto size = size_of(context.fs, lock.fd());
  if (!size) return size.error();
  if (*size != plan.old_size) return Error{ErrorKind::changed, "the spool grew or was cut since it was read"};
  if (plan.changes.empty()) return *size;
  auto missing = missing_end(context.fs, lock.fd(), *size, plan.format, 1);
  if (!missing) return missing.error();
  JournalPlan journal_plan{.first = std::min(plan.first, plan.changes.front().offset),
                           .old_size = *size,
                           .format = plan.format,
                           .open_end = !missing->empty(),
                           .rewrite = true};
  std::uint64_t at = journal_plan.first;
  const auto keep = [&](std::uint64_t to) {
    if (to > at) journal_plan.parts.push_back({.octets = {.fd = lock.fd(), .offset = at, .length = to - at}});
    at = to;
  };
  for (const auto& change : plan.changes) {
    keep(change.offset);
    if (!change.inserted.empty() || change.octets.length > 0) journal_plan.parts.push_back({.octets = change.octets, .text = change.inserted});
    at = change.offset + change.removed;
  }
  keep(plan.old_size);
  auto journal = commit_journal(context, paths, lock, journal_plan, nullptr);
  if (!journal) return journal.error();
  return carry_out(context, paths, lock, std::move(*journal), warnings);
}

}  // namespace qpop::spool
