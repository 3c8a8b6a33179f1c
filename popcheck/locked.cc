// SPDX-License-Identifier: MIT
// Runs as: the owner of the mail.
#include "popcheck/locked.h"

#include "common/spool/spool_file.h"
#include "popcheck/holes.h"

namespace qpop::popcheck {

using base::Error;
using base::ErrorKind;
using base::Result;

namespace {

/// For a session that has said goodbye.
constexpr std::uint32_t kEndingMs = 3000;

}  // namespace

Result<Locked> lock_all(Place& place, Outcome& outcome) {
  if (!place.state.valid())
    return Error{ErrorKind::not_found, "there is no folder for the journal and the ledger; name one with --ledger-dir"};
  const auto patience_ms = place.command.lock_timeout_s * 1000;
  auto session = spool::lock_session(place.context(), place.state.get(), patience_ms, kEndingMs);
  if (!session) return session.error().at("lock", place.target.label);
  auto recovered = recover_spool(place, true);
  if (recovered.code == kFailed) return Error{ErrorKind::io, recovered.message};
  if (recovered.result != "clean") outcome.warnings.push_back(recovered.message);
  outcome.warnings.insert(outcome.warnings.end(), recovered.warnings.begin(), recovered.warnings.end());
  auto mail = spool::MailLock::acquire(place.context(), place.paths(), place.locks(), patience_ms, outcome.warnings);
  if (!mail) return mail.error().at("lock", place.target.label);
  if (const auto hole = too_many_holes(mail->fd())) return Error{ErrorKind::limit, describe(*hole, place.target.path())}.at("read", place.target.label);
  auto size = spool::size_of(place.fs, mail->fd());
  if (!size) return size.error();
  return Locked{std::move(*session), std::move(*mail), *size};
}

}  // namespace qpop::popcheck
