// SPDX-License-Identifier: MIT
// What only clients of the original ask for: CAPA lines with numbers, EUIDL, XTND XLST, MDEF, and how each session may end there.
// Runs as: popnet, without any right.
// Source: the original's extensions; RFC 2449 sections 6.5 (LOGIN-DELAY) and 6.7 (EXPIRE).
#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "common/base/text.h"
#include "popper/session/dialogue.h"

namespace qpop::session {

namespace {

constexpr std::size_t kMostMacros = 10;
constexpr std::size_t kMostMacroName = 100;
constexpr std::size_t kMostFromText = 128;
constexpr std::size_t kMostHeader = 64UL * 1024;

/// RFC 822 date with zone, from seconds since 1970 and the zone's distance from UTC. Not gmtime(3): it looks for zone files, which the
/// system call filter takes for an attack.
std::string mail_date(std::int64_t seconds, std::int32_t offset_s) {
  constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::chrono::sys_seconds local{std::chrono::seconds{seconds + offset_s}};
  const auto day = std::chrono::floor<std::chrono::days>(local);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{local - day};
  const auto minutes = std::abs(offset_s) / 60;
  return fmt::format("{}, {} {} {} {:02}:{:02}:{:02} {}{:02}{:02}", kDays.at(std::chrono::weekday{day}.c_encoding()), static_cast<unsigned>(date.day()),
                     kMonths.at(static_cast<unsigned>(date.month()) - 1), static_cast<int>(date.year()), time.hours().count(),
                     time.minutes().count(), time.seconds().count(), offset_s < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

/// The lines of a field: the first that begins with `prefix`, and its continuation lines, without line ends.
std::vector<std::string_view> field_lines(std::string_view header, std::string_view prefix) {
  std::vector<std::string_view> lines;
  while (!header.empty()) {
    const auto end = std::min(header.find('\n'), header.size());
    auto line = header.substr(0, end);
    header.remove_prefix(std::min(end + 1, header.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool continued = !lines.empty() && !line.empty() && (line.front() == ' ' || line.front() == '\t');
    if (!lines.empty() && !continued) break;
    if (continued || base::starts_with_ignoring_case(line, prefix)) lines.push_back(line);
  }
  return lines;
}

}  // namespace

std::string Dialogue::announcements() const {
  const bool logged_in = state_ == State::transaction;
  // RFC 2449: before login the value for the strictest user, with USER when others may have another.
  const std::string_view tag = !logged_in && start_.per_user != 0 ? " USER" : "";
  const auto delay = logged_in ? rules_.login_delay_s : start_.login_delay_s;
  const auto expire = logged_in ? rules_.expire_days : start_.expire_days;
  std::string text;
  if (delay > 0 || !tag.empty()) text += fmt::format("LOGIN-DELAY {}{}\r\n", delay, tag);
  text += expire < 0 ? fmt::format("EXPIRE NEVER{}\r\n", tag) : fmt::format("EXPIRE {}{}\r\n", expire, tag);
  text += "X-MACRO\r\n";
  text += fmt::format("X-LOCALTIME {}\r\n", mail_date(clock_.realtime_ns() / 1'000'000'000, start_.utc_offset_s));
  return text;
}

/// `-no-mime` behind a user name asked the original to reduce all mail to plain text.
bool Dialogue::refuse_no_mime(std::string_view name) {
  constexpr std::string_view kSuffix = "-no-mime";
  if (name.size() <= kSuffix.size() || !base::equal_ignoring_case(name.substr(name.size() - kSuffix.size()), kSuffix)) return false;
  err("The suffix -no-mime is not offered by this server; log in without it.");
  return true;
}

bool Dialogue::asks_to_mangle(const pop3::Command& command) {
  if (command.verb != pop3::Verb::retr && command.verb != pop3::Verb::top && command.verb != pop3::Verb::list) return false;
  return std::ranges::any_of(std::span{command.words}.first(command.word_count), [](std::string_view word) {
    return base::starts_with_ignoring_case(word, "x-mangle(") || base::starts_with_ignoring_case(word, "mangle(");
  });
}

/// Words that name a macro stand for its value.
void Dialogue::expand_macros(pop3::Command& command) const {
  if (macros_.empty() || command.verb == pop3::Verb::mdef) return;
  for (auto& word : std::span{command.words}.first(command.word_count)) {
    const auto found = std::ranges::find_if(macros_, [&](const auto& macro) { return base::equal_ignoring_case(macro.first, word); });
    if (found != macros_.end()) word = found->second;
  }
}

void Dialogue::on_mdef(const pop3::Command& command) {
  std::string text{command.argument};
  std::ranges::transform(text, text.begin(), base::to_lower);
  const std::string definition{base::trim(text)};
  const auto open = definition.find('(');
  if (open == std::string::npos || open == 0 || !definition.ends_with(')')) return err("MDEF: Syntax error; want name(value)");
  if (open > kMostMacroName) return err("MDEF name too long");
  const auto name = definition.substr(0, open);
  const auto known = std::ranges::find_if(macros_, [&](const auto& macro) { return macro.first == name; });
  if (known == macros_.end() && macros_.size() >= kMostMacros) return err("Server only takes a maximum of 10 MDEFs");
  auto value = definition.substr(open + 1, definition.size() - open - 2);
  if (known != macros_.end()) {
    known->second = std::move(value);
  } else {
    macros_.emplace_back(name, std::move(value));
  }
  ok("Macro accepted");
}

base::Result<std::string> Dialogue::read_header(std::uint32_t index) {
  const auto found = maildrop_->message(index);
  if (!found) return found.error();
  std::string header(std::min<std::uint64_t>(found->header_length, kMostHeader), '\0');
  std::size_t done = 0;
  while (done < header.size()) {
    const auto got = maildrop_->read(*found, done, std::span{header}.subspan(done));
    if (!got) return got.error();
    if (*got == 0) break;
    done += *got;
  }
  header.resize(done);
  return header;
}

/// For each message that is left, or for one alone, what `line` makes of its header.
void Dialogue::send_header_lines(std::optional<std::uint32_t> only, std::string_view answer,
                                 const std::function<std::string(std::uint32_t, std::string_view)>& line) {
  bool begun = false;
  for (std::uint32_t i = only.value_or(0); i < (only ? *only + 1 : maildrop_->count()) && !client_.failed(); ++i) {
    if (maildrop_->is_deleted(i)) continue;
    const auto header = read_header(i);
    if (!header && !begun) return storage_error(header.error());
    if (!header) {
      log::error("{}: message {}: {}; connection closed in the middle of a listing", who(), i + 1, header.error().message());
      return finish(End::failure);
    }
    if (!std::exchange(begun, true)) ok(answer);
    client_.put(line(i, *header));
  }
  if (!begun) ok(answer);
  client_.put(".\r\n");
}

/// "number unique-id octets From", made for a handheld whose users chose by sender what to fetch.
void Dialogue::on_euidl(const pop3::Command& command) {
  if (command.word_count > 1) return err("Too many arguments for the EUIDL command.");
  const auto line = [this](std::uint32_t index, std::string_view header) {
    const auto found = maildrop_->message(index);
    if (!found) return std::string{};
    const auto lines = field_lines(header, "From:");
    const auto from = lines.empty() ? std::string_view{} : base::trim(lines.front().substr(5));
    return fmt::format("{} {} {} {}\r\n", index + 1, found->record.unique_id(), found->record.octets, from.substr(0, kMostFromText));
  };
  if (command.word_count == 0) return send_header_lines(std::nullopt, "euidl command accepted.", line);
  const auto index = wanted_message(command);
  if (!index) return;
  const auto header = read_header(*index);
  if (!header) return storage_error(header.error());
  auto text = line(*index, *header);
  ok(std::string_view{text}.substr(0, text.size() - std::min<std::size_t>(text.size(), 2)));
}

void Dialogue::on_xtnd(const pop3::Command& command) {
  if (command.word_count == 0) return err("Too few arguments for the XTND command.");
  if (base::equal_ignoring_case(command.words[0], "XLST")) return on_xlst(command);
  if (base::equal_ignoring_case(command.words[0], "XMIT")) return on_xmit();
  err("Unknown XTND command.");
}

void Dialogue::on_xlst(const pop3::Command& command) {
  if (command.word_count < 2) return err("Too few arguments for the XTND XLST command.");
  if (command.word_count > 3) return err("Too many arguments for the XTND XLST command.");
  std::optional<std::uint32_t> only;
  if (command.word_count == 3) {
    pop3::Command number = command;
    number.words[0] = command.words[2];
    only = wanted_message(number);
    if (!only) return;
  }
  const std::string prefix{command.words[1]};
  send_header_lines(only, "xlst command accepted; headers coming.", [&](std::uint32_t index, std::string_view header) {
    const auto lines = field_lines(header, prefix);
    std::string text;
    for (std::size_t i = 0; i < lines.size(); ++i) text += i == 0 ? fmt::format("{} {}\r\n", index + 1, lines[i]) : fmt::format("{}\r\n", lines[i]);
    return text;
  });
}

/// Option auto-delete: what was retrieved, now or earlier, goes as if it had been marked.
base::Status Dialogue::mark_retrieved() {
  for (std::uint32_t i = 0; i < maildrop_->count(); ++i) {
    if (maildrop_->is_deleted(i)) continue;
    auto retrieved = maildrop_->was_retrieved(i);
    if (!retrieved && rules_.honour_status != 0) {
      const auto found = maildrop_->message(i);
      if (!found) return found.error();
      retrieved = (found->record.flags & listing::kFlagRead) != 0;
    }
    if (!retrieved) continue;
    if (auto marked = maildrop_->mark_deleted(i); !marked) return marked;
  }
  return {};
}

void Dialogue::on_last() {
  std::uint32_t last = maildrop_->last_accessed();
  if (rules_.honour_status != 0 && !status_forgotten_) {
    for (std::uint32_t i = maildrop_->count(); i > last; --i) {
      const auto found = maildrop_->message(i - 1);
      if (!found) return storage_error(found.error());
      if ((found->record.flags & listing::kFlagRead) != 0) last = i;
    }
  }
  ok(fmt::format("{} is the last message seen.", last));
}

/// Option update-on-abort: the client is gone, or silent; nothing is said to it.
void Dialogue::end_without_quit() {
  if (!maildrop_ || rules_.update_on_abort == 0 || maildrop_->deleted_count() == 0) return;
  if (end_ != End::closed && end_ != End::timeout) return;
  log::info("{}: no QUIT; {} messages are removed because of update-on-abort", who(), maildrop_->deleted_count());
  quiet_ = true;
  update();
}

void Dialogue::trace(std::string_view direction, std::string_view text) const {
  if (start_.debug == 0 && rules_.debug == 0) return;
  log::write(log::Severity::debug, fmt::format("{}: {} {}", who(), direction, base::escape_untrusted(text, 300)));
}

/// No password: neither an argument that may be one, nor a line before login that is none of our commands, such as the answer to a
/// challenge that the client thought it had.
void Dialogue::trace_command(const pop3::Command& command) const {
  using enum pop3::Verb;
  const auto line = client_.line();
  const bool odd = command.verb == unknown || command.has_nul || command.bad_utf8;
  if (odd && state_ == State::authorization) return trace("command", fmt::format("not known, of {} octets", line.size()));
  const bool secret = command.verb == pass || command.verb == auth || command.verb == apop;
  trace("command", secret ? line.substr(0, line.find_first_of(" \t")) : line);
}

}  // namespace qpop::session
