// SPDX-License-Identifier: MIT
// The first octets of an mbox: a From_ line, or what else may stand there.
#include <fmt/format.h>

#include "common/check/mbox_reading.h"
#include "common/mbox/from_line.h"

namespace qpop::check {

using base::Status;

Status MboxReading::lead() {
  if (auto moved = s_.move_to(s_.pos); !moved) return moved;
  s_.paint(Region::separator, s_.pos);
  auto nuls = leading_nuls();
  if (!nuls) return nuls.error();
  if (s_.pos < s_.size()) judge_start(s_.pos, *nuls);
  return {};
}

/// NUL octets, and empty lines between them, before everything else: they hold nothing and are in the way.
base::Result<bool> MboxReading::leading_nuls() {
  const std::uint64_t at = s_.pos;
  if (at == s_.size() || s_.view(at, at + 1) != std::string_view{"\0", 1}) return false;
  std::uint64_t nuls = 0;
  for (;;) {
    if (auto moved = s_.move_to(s_.pos); !moved) return moved.error();
    const auto next = s_.view(s_.pos, s_.pos + 1);
    if (next == "\n" || next == "\r") {
      s_.skip_to(s_.pos + 1);
    } else if (next == std::string_view{"\0", 1}) {
      const std::uint64_t from = s_.pos;
      auto passed = s_.pass_nuls();
      if (!passed) return passed.error();
      nuls += *passed - from;
    } else {
      break;
    }
  }
  s_.report.nul_octets += nuls;
  s_.paint(Region::filler, s_.pos);
  const bool all = s_.pos == s_.size();
  s_.repair(all ? Id::nul_tail : Id::nul_start, at, s_.pos - at, "", 1, fmt::format("{} octets", nuls)).excerpt.clear();
  if (all) end_ = at;
  return true;
}

void MboxReading::judge_start(std::uint64_t at, bool behind_nuls) {
  const auto line = s_.line_at(at);
  const auto next = s_.next_line(at);
  const std::uint64_t number = s_.line_number();
  if (mbox::is_from_line(line)) {
    const auto header = s_.header_at(next);
    if (!header.begins) {
      ++s_.message;
      s_.find(Id::no_header, at, 0, number);
      --s_.message;
    }
    return open_message(at, next, header);
  }
  const auto guess = guess_postmark(line);
  const auto behind = s_.header_at(next);
  if (guess.field_at > 0) return split_field(at, guess, true);
  const bool likely = (guess.from && (guess.score >= 1 || line.find('@') != std::string_view::npos || line.size() < 40)) || guess.only_start;
  if (likely && behind.begins && behind.known > 0) return replace_line(at, guess, behind, true);
  const auto here = s_.header_at(at);
  if (here.strong()) {
    s_.repair(Id::missing_postmark, at, 0, made_line(nullptr, here), number, fmt::format("the spool begins with {} header fields", here.fields));
    return open_message(at, at, here);
  }
  if (behind.certain()) {
    // The first line is what is left of a header field.
    const auto* field = line.empty() || line.front() == ' ' || line.front() == '\t' ? "X-Popcheck-Cut:" : "X-Popcheck-Cut: ";
    s_.repair(Id::missing_postmark, at, 0, made_line(nullptr, behind) + field, number,
              behind_nuls ? "a cut header follows the NUL octets" : "the spool begins inside a header");
    return open_message(at, next, behind);
  }
  s_.repair(Id::foreign_start, at, 0, s_.quarantine_header(Id::foreign_start), number);
  s_.message = 1;
  s_.paint(Region::separator, at);
  open_ = {.any = true, .offset = at, .line = number, .body = at, .complete = true, .damaged = true};
}

}  // namespace qpop::check
