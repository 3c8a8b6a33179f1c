// SPDX-License-Identifier: MIT
// A foreign mail reader.
#include "tests/fault/foreign.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "tests/fault/verdict.h"

namespace qpop::test {

namespace {

std::size_t occurrences(std::string_view text, std::string_view what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size())) ++count;
  return count;
}

std::vector<std::string> split_mmdf(const std::string& spool) {
  std::vector<std::string> units;
  std::size_t at = 0;
  while (at < spool.size()) {
    const auto closing = spool.find(kSeparator, at + kSeparator.size());
    const auto end = closing == std::string::npos ? spool.size() : closing + kSeparator.size();
    units.push_back(spool.substr(at, end - at));
    at = end;
  }
  return units;
}

std::vector<std::string> split_mbox(const std::string& spool) {
  std::vector<std::string> units;
  std::size_t start = 0;
  for (std::size_t at = spool.find("\nFrom "); at != std::string::npos; at = spool.find("\nFrom ", at + 1)) {
    const bool empty_line =
        at >= 1 && (spool[at - 1] == '\n' || (spool[at - 1] == '\r' && at >= 2 && spool[at - 2] == '\n'));
    if (!empty_line) continue;
    units.push_back(spool.substr(start, at + 1 - start));
    start = at + 1;
  }
  if (start < spool.size()) units.push_back(spool.substr(start));
  return units;
}

const std::string kMark = "Status: RO\n";

/// Without the marks that readers and updates put into headers: they come and go with who wrote last.
std::string plain(std::string text) {
  for (const std::string& mark : {kMark, std::string{"Status: RO\r\n"}}) {
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) text.erase(at, mark.size());
  }
  return text;
}

std::string plain_core(const std::string& unit) { return std::string{core_of(plain(unit))}; }

/// Readers note in the header what has been read.
std::string with_status(const std::string& unit) {
  const auto core = core_of(unit);
  const auto at = static_cast<std::size_t>(core.data() - unit.data());
  return unit.substr(0, at) + kMark + unit.substr(at);
}

void put_in_place(const MaildropFixture& drop, const std::vector<std::string>& units, bool new_file) {
  std::string all;
  for (const auto& unit : units) all += unit;
  if (new_file) ::unlink(drop.spool_path().c_str());
  MaildropFixture::write_file(drop.spool_path(), all);
}

}  // namespace

std::vector<std::string> split(const std::string& spool, bool mmdf) {
  return mmdf ? split_mmdf(spool) : split_mbox(spool);
}

ForeignRewrite rewrite_spool(const MaildropFixture& drop, const Scenario& s, const std::vector<std::string>& delivered,
                             std::mt19937& random) {
  ForeignRewrite out;
  auto units = split(drop.spool(), s.mmdf());
  for (const auto& unit : s.units) ++out.known[plain_core(unit)];
  for (const auto& unit : delivered) ++out.known[plain_core(unit)];
  const Cores ours = out.known;
  for (const auto& unit : units) {
    // Moved about, half of a message's separators make no MMDF.
    const bool framed = !s.mmdf() || (unit.starts_with(kSeparator) && unit.ends_with(kSeparator));
    out.whole = out.whole && framed && out.known.contains(plain_core(unit));
  }
  const auto pick = [&] { return units.begin() + static_cast<std::ptrdiff_t>(random() % units.size()); };
  bool new_file = random() % 2 == 0;
  switch (units.empty() ? 4 : random() % 7) {
    case 0:
      out.what = "removes one";
      units.erase(pick());
      break;
    case 1:
      out.what = "exchanges two";
      std::iter_swap(pick(), pick());
      break;
    case 2:
      out.what = "marks all as read";
      for (auto& unit : units) unit = with_status(unit);
      break;
    case 3:
      out.what = "keeps the last one";
      units.erase(units.begin(), units.end() - 1);
      break;
    case 4:
      out.what = "removes all";
      units.clear();
      break;
    case 5:
      out.what = "marks one as read";
      if (const auto one = pick(); true) *one = with_status(*one);
      break;
    case 6:
      out.what = "writes the same again";
      break;
  }
  put_in_place(drop, units, new_file);
  if (units.empty() && random() % 2 == 0) ::unlink(drop.spool_path().c_str());
  if (new_file) out.what += ", in a new file";
  // What is whole in the spool now, or in the journal, must not be lost. A journal without mail in it promises nothing.
  const auto spool = plain(drop.spool());
  const auto journal = plain(MaildropFixture::read_file(drop.state_path("journal")));
  for (const auto& unit : units) ++out.known[plain_core(unit)];
  for (const auto& [core, unused] : out.known) {
    // Pieces that the reader took for a message are none; when the update is redone they go.
    if (!ours.contains(core)) continue;
    std::size_t wanted = 0;
    for (std::size_t i = 0; i < s.units.size(); ++i)
      wanted += !s.is_deleted(i) && plain_core(s.units[i]) == core ? 1U : 0U;
    for (const auto& unit : delivered) wanted += plain_core(unit) == core ? 1U : 0U;
    const std::size_t saved = wanted == 0 ? 0 : std::min(wanted, occurrences(journal, core));
    // Half moved mail may be there twice, and what the session deleted may go, if the update is redone.
    std::size_t kept = occurrences(spool, core);
    kept = std::min(kept, wanted);
    const std::size_t needed = std::max(kept, saved);
    if (needed > 0) out.required[core] = needed;
  }
  return out;
}

void add_delivery(ForeignRewrite& rewrite, const std::string& unit) {
  const std::string core = plain_core(unit);
  ++rewrite.known[core];
  ++rewrite.required[core];
}

/// What salvage.cc says may stay: a process died while it appended a message, and before the next one went on somebody delivered. The
/// beginning of the message then stands in front of that mail; its whole copy, and the mail, are counted by `required`.
bool is_remnant(const std::string& unit, const ForeignRewrite& rewrite) {
  const auto text = plain_core(unit);
  return std::any_of(rewrite.known.begin(), rewrite.known.end(), [&](const auto& mail) {
    if (mail.first.empty() || !text.ends_with(mail.first)) return false;
    const auto postmark = text.rfind("From ", text.size() - mail.first.size());
    const auto head = text.substr(0, postmark);
    return postmark != std::string::npos && std::any_of(rewrite.required.begin(), rewrite.required.end(), [&](const auto& whole) {
             return head.size() < whole.first.size() && whole.first.starts_with(head);
           });
  });
}

ForeignVerdict judge_rewritten(const MaildropFixture& drop, const Scenario& s, const ForeignRewrite& rewrite) {
  ForeignVerdict out;
  Process later{drop};
  later.be_later();
  const auto opened = later.open();
  // Pieces that the reader took for messages may make no mailbox.
  const bool hopeless = !opened && opened.error().kind() == base::ErrorKind::malformed && !rewrite.whole;
  if (!opened && !hopeless) {
    out.torn = true;
    out.text = "the next session cannot open the maildrop: " + opened.error().message();
    return out;
  }
  const auto spool = drop.spool();
  for (const auto& [core, count] : rewrite.required) {
    if (occurrences(plain(spool), core) >= count) continue;
    out.lost = true;
    out.text = "a message is lost: " + core.substr(0, 40);
  }
  // What stands alone must be whole, or have been in pieces before.
  for (const auto& unit : split(spool, s.mmdf())) {
    if (!rewrite.whole || rewrite.known.contains(plain_core(unit)) || is_remnant(unit, rewrite)) continue;
    out.torn = true;
    out.text += " a message is torn: " + plain_core(unit).substr(0, 40);
  }
  for (const auto& name : strange_names(drop)) {
    // Without a spool there is no lock under which they could be removed; they do no harm.
    if (spool.empty() && name.ends_with(".tmp")) continue;
    if (!name.starts_with("saved-")) out.text += name + " is left";
  }
  return out;
}

}  // namespace qpop::test
