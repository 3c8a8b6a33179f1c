// SPDX-License-Identifier: MIT
// Command lines of POP3.
#include "common/pop3/command.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "common/base/secret.h"
#include "common/base/text.h"

namespace qpop::pop3 {

namespace {

struct VerbName {
  std::string_view name;
  Verb verb;
};
constexpr std::array kVerbs{
    VerbName{"APOP", Verb::apop}, VerbName{"AUTH", Verb::auth}, VerbName{"CAPA", Verb::capa}, VerbName{"DELE", Verb::dele},    VerbName{"LAST", Verb::last},
    VerbName{"LIST", Verb::list}, VerbName{"NOOP", Verb::noop}, VerbName{"PASS", Verb::pass},    VerbName{"QUIT", Verb::quit},
    VerbName{"RETR", Verb::retr}, VerbName{"RSET", Verb::rset}, VerbName{"STAT", Verb::stat},    VerbName{"STLS", Verb::stls},   VerbName{"TOP", Verb::top},
    VerbName{"EUIDL", Verb::euidl}, VerbName{"MDEF", Verb::mdef}, VerbName{"XTND", Verb::xtnd},
    VerbName{"UIDL", Verb::uidl}, VerbName{"USER", Verb::user}, VerbName{"GET", Verb::http},     VerbName{"HEAD", Verb::http},
    VerbName{"POST", Verb::http}, VerbName{"PUT", Verb::http},  VerbName{"DELETE", Verb::http},  VerbName{"OPTIONS", Verb::http},
    VerbName{"TRACE", Verb::http}, VerbName{"CONNECT", Verb::http}, VerbName{"PATCH", Verb::http},
};

Verb find_verb(std::string_view word) {
  for (const auto& row : kVerbs) {
    if (base::equal_ignoring_case(row.name, word)) return row.verb;
  }
  return Verb::unknown;
}

void split_words(Command& command) {
  std::string_view rest = command.argument;
  while (command.word_count < command.words.size()) {
    const auto first = rest.find_first_not_of(" \t");
    if (first == std::string_view::npos) return;
    rest.remove_prefix(first);
    const auto end = std::min(rest.find_first_of(" \t"), rest.size());
    command.words.at(command.word_count++) = rest.substr(0, end);
    rest.remove_prefix(end);
  }
}

}  // namespace

void LineReader::append(std::string_view part) {
  const std::size_t most = std::min(limit_ + 2, buffer_.size());
  const std::size_t room = most - std::min(most, size_);
  const std::size_t taken = std::min(room, part.size());
  std::memcpy(buffer_.data() + size_, part.data(), taken);
  size_ += taken;
  excess_ += part.size() - taken;
}

LineReader::Step LineReader::feed(std::string_view bytes) {
  if (finished_) {
    size_ = 0;
    excess_ = 0;
    finished_ = false;
  }
  const auto end = bytes.find('\n');
  if (end == std::string_view::npos) {
    append(bytes);
    return {excess_ > kMaxExcess ? Event::hopeless : Event::need_more, bytes.size()};
  }
  append(bytes.substr(0, end));
  finished_ = true;
  if (size_ > 0 && excess_ == 0 && buffer_[size_ - 1] == '\r') --size_;
  const bool too_long = excess_ > 0 || size_ > limit_ - 2;
  return {too_long ? Event::too_long : Event::line, end + 1};
}

void LineReader::wipe() {
  base::wipe(buffer_.data(), buffer_.size());
  size_ = 0;
}

Command parse_command(std::string_view line) {
  Command command;
  command.has_nul = line.find('\0') != std::string_view::npos;
  command.bad_utf8 = !base::is_printable_utf8(line);
  const auto end = std::min(line.find_first_of(" \t"), line.size());
  command.verb = find_verb(line.substr(0, end));
  if (end < line.size()) command.argument = line.substr(end + 1);
  split_words(command);
  return command;
}

Number parse_number(std::string_view word) {
  if (word.empty() || !std::ranges::all_of(word, base::is_digit)) return {Number::Kind::not_a_number, 0};
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{}) return {Number::Kind::too_large, 0};
  return {Number::Kind::ok, value};
}

}  // namespace qpop::pop3
