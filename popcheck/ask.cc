// SPDX-License-Identifier: MIT
// Two columns: the place as it is read now, and as it would be read.
#include "popcheck/ask.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "common/base/text.h"
#include "common/digest/digest.h"

namespace qpop::popcheck {

namespace {

constexpr std::size_t kAround = 300;
constexpr std::size_t kWidth = 56;

std::string octets(check::Bytes& now, std::uint64_t from, std::size_t size) {
  std::string out(size, '\0');
  auto got = now.read(from, out);
  out.resize(got ? *got : 0);
  return out;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    out.push_back(base::escape_untrusted(line, kWidth));
  }
  return out;
}

/// Names the place by what stands around it.
std::string key_of(const check::Finding& finding, const check::Edit& edit, check::Bytes& now) {
  const auto from = edit.offset - std::min<std::uint64_t>(edit.offset, kAround);
  const auto text = octets(now, from, 2 * kAround);
  return fmt::format("{} {} {} {}", check::row_of(finding.id).name, edit.offset, edit.removed, base::to_hex(digest::view_of(digest::xxh3_128(text))));
}

/// One line of an answer, an octet at a time: what follows belongs to the next question.
std::string read_answer() {
  std::string out;
  char c = 0;
  while (out.size() < 80 && ::read(STDIN_FILENO, &c, 1) == 1 && c != '\n') out += c;
  return out;
}

}  // namespace

base::Result<bool> Answers::ask(const std::string& label, const check::Finding& finding, const check::Edit& edit, check::Bytes& now) {
  const auto& row = check::row_of(finding.id);
  const auto from = edit.offset - std::min<std::uint64_t>(edit.offset, kAround);
  const auto before = octets(now, from, static_cast<std::size_t>(edit.offset - from));
  const auto removed = octets(now, edit.offset, static_cast<std::size_t>(std::min<std::uint64_t>(edit.removed, kAround)));
  const auto behind = octets(now, edit.offset + edit.removed, kAround);
  const auto left = lines_of(before + removed + (edit.removed > kAround ? std::string{} : behind));
  const auto right = lines_of(before + edit.inserted + behind);
  bool answer = false;
  if (!stopped_) {
    fmt::print(stderr, "\n{}: {} at octet {}, line {}, message {}: {}\n{} {}\n\n{:<{}} | {}\n", label, row.name, finding.offset, finding.line, finding.message,
               row.title, row.reason, finding.detail, "as it is read now", kWidth, "as it would be read");
    for (std::size_t i = 0; i < std::max(left.size(), right.size()) && i < 40; ++i)
      fmt::print(stderr, "{:<{}} | {}\n", i < left.size() ? left[i] : "", kWidth, i < right.size() ? right[i] : "");
    fmt::print(stderr, "change it? [y/N/q] ");
    static_cast<void>(std::fflush(stderr));
    const auto text = read_answer();
    answer = text == "y" || text == "yes";
    stopped_ = text == "q";
  }
  given_[key_of(finding, edit, now)] = answer;
  return answer;
}

base::Result<bool> Answers::recall(const check::Finding& finding, const check::Edit& edit, check::Bytes& now) {
  const auto found = given_.find(key_of(finding, edit, now));
  return found != given_.end() && found->second;
}

}  // namespace qpop::popcheck
