// SPDX-License-Identifier: MIT
// The list of scenarios.
#include "tests/fault/scenarios.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace qpop::test {

namespace {

using Units = std::vector<std::string>;
using Marks = std::vector<unsigned>;

std::string with_crlf(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

struct Kind {
  std::string name;
  bool mmdf = false;
  bool crlf = false;

  [[nodiscard]] std::string message(unsigned number, std::size_t body) const {
    const auto text = mmdf ? mmdf_message(number, body) : mbox_message(number, body);
    return crlf ? with_crlf(text) : text;
  }
  [[nodiscard]] std::string sized(unsigned number, std::size_t octets) const {
    return sized_message(number, octets, mmdf);
  }
};

class List {
 public:
  void add(const Kind& kind, const std::string& name, const Units& messages, Marks deleted,
           const std::string& arrived = "", const std::string& end_repair = "", bool open_end = false, Marks retrieved = {}) {
    Scenario s;
    s.retrieved = std::move(retrieved);
    s.name = kind.name + ", " + name + (arrived.empty() ? "" : ", new mail");
    s.deleted = std::move(deleted);
    s.arrived = arrived;
    s.delivery = kind.message(90, 200);
    s.open_end = open_end;
    s.end_repair = end_repair;
    s.units = messages;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      s.spool += messages[i];
      if (s.is_deleted(i)) continue;
      s.after_unmarked += messages[i];
      s.after += s.left(i);
    }
    s.before = s.spool + arrived;
    s.after += arrived + end_repair;
    s.after_unmarked += arrived + end_repair;
    s.large = s.before.size() > 60'000;
    if (!arrived.empty()) s.units.push_back(arrived);
    list_.push_back(std::move(s));
  }
  /// The same as the one before, as a long update.
  void again_as_a_long_one() {
    auto s = list_.back();
    s.name += ", written down first";
    s.written_first = true;
    list_.push_back(std::move(s));
  }
  [[nodiscard]] std::vector<Scenario> take() { return std::move(list_); }

 private:
  std::vector<Scenario> list_;
};

Marks all_of(std::size_t count, std::size_t from = 0, std::size_t step = 1) {
  Marks out;
  for (std::size_t i = from; i < count; i += step) out.push_back(static_cast<unsigned>(i));
  return out;
}

/// Every place of a deletion, with messages of less and of more than a sector.
void add_places(List& list, const Kind& kind) {
  const Units m{kind.message(1, 100), kind.message(2, 1300), kind.message(3, 50), kind.message(4, 600),
                kind.message(5, 100)};
  const std::string fresh = kind.message(80, 400);
  list.add(kind, "nothing", m, {});
  list.add(kind, "nothing", m, {}, fresh);
  for (const std::string& arrived : {std::string{}, fresh}) {
    list.add(kind, "first", m, {0}, arrived);
    list.again_as_a_long_one();
    list.add(kind, "middle", m, {2}, arrived);
    list.add(kind, "last", m, {4}, arrived);
    if (arrived.empty()) list.again_as_a_long_one();
    list.add(kind, "every second", m, {0, 2, 4}, arrived);
    if (arrived.empty()) list.again_as_a_long_one();
    list.add(kind, "all", m, {0, 1, 2, 3, 4}, arrived);
    list.again_as_a_long_one();
  }
  list.add(kind, "the other second", m, {1, 3});
  list.add(kind, "all but the first", m, {1, 2, 3, 4});
  list.add(kind, "all but the last", m, {0, 1, 2, 3});
  list.add(kind, "all but the middle", m, {0, 1, 3, 4});
  list.add(kind, "the first two", m, {0, 1}, fresh);
  list.add(kind, "the last two", m, {3, 4});
  list.add(kind, "one alone", {m[0]}, {0});
  list.add(kind, "one alone", {m[0]}, {0}, fresh);
}

/// Last messages that lack their line end, their empty line, or the closing separator.
void add_open_ends(List& list, const Kind& kind) {
  const auto cut = [&](std::size_t octets) {
    Units m{kind.message(1, 100), kind.message(2, 700), kind.message(3, 300)};
    m.back().resize(m.back().size() - octets);
    return m;
  };
  if (kind.mmdf) {
    const auto closer = kSeparator.size();
    list.add(kind, "first, the last one is not closed", cut(closer), {0}, "", kSeparator, true);
    list.add(kind, "middle, the last one is not closed", cut(closer), {1}, "", kSeparator, true);
    list.add(kind, "last, it is not closed", cut(closer), {2}, "", "", true);
    list.add(kind, "first and last, it is not closed", cut(closer), {0, 2}, "", "", true);
    return;
  }
  list.add(kind, "first, the last one has no empty line", cut(1), {0}, "", "\n", true);
  list.add(kind, "first, the last one has no line end", cut(2), {0}, "", "\n\n", true);
  list.again_as_a_long_one();
  list.add(kind, "middle, the last one has no line end", cut(2), {1}, "", "\n\n", true);
  list.add(kind, "last, it has no line end", cut(2), {2}, "", "", true);
  list.add(kind, "first and last, it has no empty line", cut(1), {0, 2}, "", "", true);
  list.add(kind, "first and last, it has no line end", cut(2), {0, 2}, "", "", true);
}

/// Messages that were retrieved and stay: marked where they move, and where the gap has room for it.
void add_marks(List& list, const Kind& kind) {
  const Units m{kind.message(1, 100), kind.message(2, 700), kind.message(3, 50), kind.message(4, 1600), kind.message(5, 100)};
  const std::string fresh = kind.message(80, 400);
  for (const std::string& arrived : {std::string{}, fresh}) {
    list.add(kind, "first, the others retrieved", m, {0}, arrived, "", false, {1, 2, 3, 4});
    list.again_as_a_long_one();
    list.add(kind, "middle, some retrieved", m, {2}, arrived, "", false, {0, 2, 4});
  }
  list.add(kind, "all but the last, which was retrieved", m, {0, 1, 2, 3}, "", "", false, {4});
  list.add(kind, "last, all retrieved", m, {4}, "", "", false, {0, 1, 2, 3, 4});
}

/// Lengths at which the sectors of old and new places lie upon each other in every way.
void add_sizes(List& list, const Kind& kind) {
  const auto row = [&](const std::vector<std::size_t>& sizes) {
    Units m;
    for (const auto size : sizes) m.push_back(kind.sized(static_cast<unsigned>(m.size() + 1), size));
    return m;
  };
  list.add(kind, "whole sectors, first", row({512, 1024, 512, 512}), {0});
  list.add(kind, "whole sectors, middle", row({512, 512, 1024, 512}), {1}, kind.sized(80, 512));
  list.add(kind, "one octet less than a sector, every second", row({511, 511, 511, 511, 511, 511}), {0, 2, 4});
  list.add(kind, "one octet more than a sector, every second", row({513, 513, 513, 513, 513, 513}), {0, 2, 4});
  list.add(kind, "a gap smaller than what follows", row({300, 200, 3000}), {1});
  list.add(kind, "a gap as large as what follows", row({300, 2000, 1100, 900}), {1});
  list.add(kind, "a gap one octet smaller than what follows", row({300, 1999, 1100, 900}), {1});
  list.add(kind, "a gap one octet larger than what follows", row({300, 2001, 1100, 900}), {1});
  list.add(kind, "many in one sector, two gaps", row({160, 161, 162, 163, 164, 165, 166, 167}), {1, 5});
  list.add(kind, "a kept one larger than all gaps", row({200, 5000, 300, 250, 4000, 260}), {0, 3, 5});
  list.add(kind, "large gaps, small kept ones", row({4000, 200, 3000, 210, 2000, 220}), {0, 2, 4});
}

/// More than the span of the head hash, and more than one piece of a transfer.
void add_large(List& list, const Kind& kind) {
  const Units m{kind.sized(1, 70'001), kind.sized(2, 900), kind.sized(3, 300'000), kind.sized(4, 2'100)};
  list.add(kind, "large, first", m, {0});
  list.add(kind, "large, second of them", m, {1});
  list.add(kind, "large, the largest", m, {2}, kind.sized(80, 1'500));
  list.add(kind, "large, all but the last", m, {0, 1, 2});
}

/// Equal messages: the place of the cut looks like the place of a message, and a hash alone does not tell which is
/// meant.
void add_twins(List& list, const Kind& kind) {
  const auto twin = kind.message(1, 100);
  const auto other = kind.message(2, 100);
  list.add(kind, "twins, one of four", {twin, twin, twin, twin}, {1});
  list.add(kind, "twins, half of them", {twin, other, twin, other}, {0, 3});
  list.add(kind, "twins, one and one that arrived", {twin, twin}, {0}, twin);
  // With whole sectors the spool does not change at all but for its length.
  const auto square = kind.sized(3, 512);
  list.add(kind, "twins of whole sectors", {square, square, square}, {0});
}

std::vector<Scenario> make_all() {
  List list;
  const Kind mbox{.name = "mbox"};
  const Kind mmdf{.name = "MMDF", .mmdf = true};
  const Kind crlf{.name = "CRLF mbox", .crlf = true};
  for (const auto& kind : {mbox, mmdf}) {
    add_places(list, kind);
    add_open_ends(list, kind);
    add_sizes(list, kind);
    add_large(list, kind);
    add_twins(list, kind);
    add_marks(list, kind);
  }
  const Units m{crlf.message(1, 100), crlf.message(2, 1300), crlf.message(3, 50)};
  list.add(crlf, "first", m, {0});
  list.add(crlf, "middle", m, {1}, crlf.message(80, 300));
  list.add(crlf, "all", m, all_of(3));
  list.add(crlf, "first, the last one retrieved", m, {0}, "", "", false, {2});
  Units many;
  for (unsigned i = 1; i <= 60; ++i) many.push_back(mbox.message(i, i * 7 % 250));
  list.add(mbox, "many, every third", many, all_of(many.size(), 1, 3));
  list.add(mbox, "many, one in the middle", many, {30}, mbox.message(80, 100));
  return list.take();
}

}  // namespace

std::string Scenario::left(std::size_t unit) const {
  const auto& text = units[unit];
  const bool moves = !deleted.empty() && unit > *std::min_element(deleted.begin(), deleted.end());
  if (!moves || std::find(retrieved.begin(), retrieved.end(), unit) == retrieved.end()) return text;
  const std::string end = crlf() ? "\r\n" : "\n";
  auto marked = text;
  return marked.insert(text.find(end + end) + end.size(), "Status: RO" + end);
}

std::string_view core_of(std::string_view unit) {
  if (unit.starts_with(kSeparator)) unit.remove_prefix(kSeparator.size());
  if (unit.starts_with("From ")) unit.remove_prefix(unit.find('\n') + 1);
  if (unit.ends_with(kSeparator)) unit.remove_suffix(kSeparator.size());
  while (!unit.empty() && (unit.back() == '\n' || unit.back() == '\r')) unit.remove_suffix(1);
  return unit;
}

std::string sized_message(unsigned number, std::size_t octets, bool mmdf) {
  constexpr std::size_t kLine = 60;
  std::string text = mmdf ? mmdf_message(number, 0) : mbox_message(number, 0);
  const std::size_t end = mmdf ? kSeparator.size() : 1;
  const std::string tail = text.substr(text.size() - end);
  text.resize(text.size() - end);
  if (mmdf) text.pop_back();  // the empty line that the mbox form ends with
  if (octets < text.size() + end + 1) throw std::logic_error("message too small");
  std::size_t left = octets - text.size() - end;
  for (unsigned line = 0; left > 0; ++line) {
    std::size_t length = std::min(left, kLine);
    if (left - length == 1) --length;  // a line of one octet would be an empty one
    std::string fill = "m" + std::to_string(number) + "." + std::to_string(line) + ' ';
    fill.resize(std::max<std::size_t>(length - 1, 0), static_cast<char>('a' + (number + line) % 26));
    text += fill + '\n';
    left -= length;
  }
  return text + tail;
}

std::string more_mail(const Scenario& scenario, unsigned number, std::size_t body) {
  return Kind{.name = {}, .mmdf = scenario.mmdf(), .crlf = scenario.crlf()}.message(number, body);
}

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> kAll = make_all();
  return kAll;
}

const Scenario& scenario(std::string_view name) {
  for (const auto& s : scenarios()) {
    if (s.name.starts_with(name)) return s;
  }
  throw std::runtime_error("no scenario " + std::string{name});
}

}  // namespace qpop::test
