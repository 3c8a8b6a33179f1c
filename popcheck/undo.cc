// SPDX-License-Identifier: MIT
// Taking a repair back: the octets that it put in give way to those that stand in the quarantine.
//
//  1. Under all locks the spool must begin with what the repair made; mail may have come behind it.
//  2. With the edits taken back it must have the hash that the ledger has of the spool of before.
//  3. The changes are made under a journal as those of a repair are; then the ledger is renamed. A crash between the two leaves
//     a ledger of a repair that is taken back: the next undo finds the spool of before, and says so.
// Runs as: the owner of the mail.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "common/check/reading.h"
#include "common/spool/rewrite.h"
#include "common/spool/spool_bytes.h"
#include "common/spool/spool_file.h"
#include "popcheck/ledger.h"
#include "popcheck/locked.h"
#include "popcheck/work.h"

namespace qpop::popcheck {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using listing::SpoolFormat;

/// The spool of before, put together from the present one and the quarantine; not owning.
class Restored final : public check::Bytes {
 public:
  /// Errors: malformed, the edits do not lead from after to before.
  static Result<std::unique_ptr<Restored>> make(files::FileSystem& fs, const Ledger& ledger, int spool, int quarantine) {
    const Error bad{ErrorKind::malformed, "the edits do not lead from after to before"};
    auto out = std::make_unique<Restored>(fs);
    std::uint64_t at = 0;
    std::uint64_t held = 0;
    for (const auto& edit : ledger.edits) {
      const bool fits = edit.new_offset >= at && edit.new_offset <= ledger.after_size && edit.inserted <= ledger.after_size - edit.new_offset &&
                        edit.removed <= ledger.before_size;
      if (!fits) return bad;
      out->add({.fd = spool, .offset = at, .length = edit.new_offset - at});
      out->add({.fd = quarantine, .offset = held, .length = edit.removed});
      if (out->size() > ledger.before_size) return bad;
      held += edit.removed;
      at = edit.new_offset + edit.inserted;
    }
    out->add({.fd = spool, .offset = at, .length = ledger.after_size - at});
    if (out->size() != ledger.before_size) return bad;
    return out;
  }

  explicit Restored(files::FileSystem& fs) : fs_(fs) {}
  [[nodiscard]] std::uint64_t size() const override { return ends_.empty() ? 0 : ends_.back(); }
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<char> out) override {
    std::size_t done = 0;
    for (auto i = static_cast<std::size_t>(std::ranges::upper_bound(ends_, offset) - ends_.begin()); i < ends_.size() && done < out.size(); ++i) {
      const std::uint64_t left = ends_[i] - (offset + done);
      const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(out.size() - done, left));
      auto got = files::read_up_to(fs_, pieces_[i].fd, out.subspan(done, want), pieces_[i].offset + pieces_[i].length - left);
      if (!got) return got.error();
      if (*got != want) return Error{ErrorKind::changed, "the spool or the quarantine became shorter"};
      done += want;
    }
    return done;
  }

 private:
  void add(spool::Piece piece) {
    if (piece.length == 0) return;
    ends_.push_back(size() + piece.length);
    pieces_.push_back(piece);
  }
  files::FileSystem& fs_;
  std::vector<spool::Piece> pieces_;
  std::vector<std::uint64_t> ends_;  ///< of each piece in the result
};

/// Of a spool that the server reads: what its first line is that is not empty.
Result<SpoolFormat> format_of(files::FileSystem& fs, int fd, std::uint64_t size) {
  std::vector<char> buffer(files::kChunk);
  for (std::uint64_t at = 0; at < size;) {
    auto got = files::read_up_to(fs, fd, buffer, at);
    if (!got) return got.error();
    const auto first = std::string_view{buffer.data(), *got}.find_first_not_of("\r\n");
    if (*got > 0 && first == std::string_view::npos) {
      at += *got;
      continue;
    }
    auto mmdf = spool::boundary_at(fs, fd, at + std::min(first, *got), SpoolFormat::mmdf);
    if (!mmdf) return mmdf.error();
    return *mmdf ? SpoolFormat::mmdf : SpoolFormat::mbox;
  }
  return SpoolFormat::mbox;
}

/// Mail came since, and must not be glued to an end that was damaged.
Result<std::string> gap_behind(Restored& before, SpoolFormat format) {
  std::array<char, 2> last{};
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(last.size(), before.size()));
  auto got = before.read(before.size() - wanted, std::span{last}.first(wanted));
  if (!got) return got.error();
  const std::string_view end{last.data(), *got};
  const bool line_ends = end.ends_with('\n');
  if (format != SpoolFormat::mmdf) return std::string{end == "\n\n" ? "" : line_ends ? "\n" : "\n\n"};
  // An empty line between two units would be text of no message. A unit that is not closed would take the opening separator
  // of the next one for its own end.
  auto report = check::read_spool(before, {});
  if (!report) return report.error();
  const bool open = std::ranges::any_of(report->edits, [](const check::Edit& edit) { return edit.id == check::Id::mmdf_unclosed; });
  return std::string{line_ends ? "" : "\n"} + (open ? "\x01\x01\x01\x01\n" : "");
}

/// The changes that take a repair back. What they make is proven to be the spool of before; the octets stay in their files.
Result<spool::RewritePlan> plan_undo(Place& place, const Ledger& ledger, Locked& locked, int quarantine) {
  const Error bad{ErrorKind::malformed, "ledger and quarantine do not make the spool of before"};
  auto before = Restored::make(place.fs, ledger, locked.mail.fd(), quarantine);
  if (!before) return bad;
  auto hash = hash_of(**before, ledger.before_size);
  if (!hash) return hash.error();
  if (*hash != ledger.before_hash) return bad;
  auto format = format_of(place.fs, locked.mail.fd(), ledger.after_size);
  if (!format) return format.error();
  spool::RewritePlan rewrite{.old_size = locked.size, .format = *format};
  std::uint64_t held = 0;
  for (const auto& edit : ledger.edits) {
    rewrite.changes.push_back({.offset = edit.new_offset, .removed = edit.inserted, .octets = {.fd = quarantine, .offset = held, .length = edit.removed}});
    held += edit.removed;
  }
  if (locked.size > ledger.after_size && ledger.before_size > 0) {
    auto gap = gap_behind(**before, *format);
    if (!gap) return gap.error();
    if (!gap->empty()) rewrite.changes.push_back({.offset = ledger.after_size, .removed = 0, .inserted = *gap});
  }
  rewrite.first = rewrite.changes.empty() ? 0 : rewrite.changes.front().offset;
  return rewrite;
}

}  // namespace

Outcome undo_repair(Place& place, const NamedLedger* named) {
  Outcome outcome;
  const auto fail = [&](const Error& error) { return failed(error, std::move(outcome.warnings)); };
  auto locked = lock_all(place, outcome);
  if (!locked) return fail(locked.error());
  const int ledgers = named != nullptr ? named->folder.get() : place.state.get();
  const auto stem = named != nullptr ? named->name.substr(0, named->name.size() - kLedgerEnding.size()) : last_ledger(ledgers);
  if (stem.empty()) return fail(Error{ErrorKind::not_found, fmt::format("no repair of it is left to take back in {}", shown(place.target.state))}.at("undo", place.target.label));
  auto ledger = read_ledger(place.fs, ledgers, stem + std::string{kLedgerEnding});
  if (!ledger) return fail(ledger.error());
  spool::SpoolBytes bytes{place.fs, locked->mail.fd(), locked->size};
  auto after = hash_of(bytes, ledger->after_size);
  if (!after) return fail(after.error());
  if (*after != ledger->after_hash || locked->size < ledger->after_size) {
    auto before = hash_of(bytes, ledger->before_size);
    if (!before) return fail(before.error());
    if (*before != ledger->before_hash || locked->size < ledger->before_size)
      return fail(Error{ErrorKind::changed, "the spool was changed since by other than new mail; nothing was touched"}.at("undo", place.target.label));
    outcome.message = "the spool is as it was before that repair";
    return outcome;
  }
  auto quarantine = place.fs.open_at(ledgers, stem + std::string{kQuarantineEnding}, O_RDONLY | O_NONBLOCK, 0);
  if (!quarantine) return fail(quarantine.error().at("open the quarantine"));
  auto rewrite = plan_undo(place, *ledger, *locked, quarantine->get());
  if (!rewrite) return fail(rewrite.error().at("undo", place.target.label));
  locked->mail.take_lease();
  auto size = spool::rewrite_spool(place.context(), place.paths(), locked->mail, *rewrite, outcome.warnings);
  if (!size) return fail(size.error().at("undo", place.target.label));
  const auto undone = stem + std::string{kUndoneEnding};
  static_cast<void>(place.fs.rename_at(ledgers, stem + std::string{kLedgerEnding}, undone));
  outcome.code = kRepaired;
  outcome.result = "repaired";
  outcome.ledger = (named != nullptr ? named->folder_path : place.target.state) + "/" + undone;
  outcome.message = fmt::format("the repair is taken back: {} octets{}; its ledger is now {}", ledger->before_size,
                                locked->size > ledger->after_size ? fmt::format(", and {} of mail that came since", locked->size - ledger->after_size) : "", shown(outcome.ledger));
  return outcome;
}

}  // namespace qpop::popcheck
