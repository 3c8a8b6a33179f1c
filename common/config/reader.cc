// SPDX-License-Identifier: MIT
// Reader of configuration files.
#include "common/config/reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/base/io.h"
#include "common/base/text.h"
#include "common/base/unique_fd.h"

namespace qpop::config {

namespace {

constexpr int kMaxDepth = 100;                   // as in the original
constexpr int kMaxFiles = 1000;                  // a file that includes itself twice would be read 2^100 times
constexpr std::size_t kMaxFile = 1024UL * 1024;  // a configuration is text for people
constexpr std::size_t kMaxOptionFile = 64UL * 1024;
constexpr std::size_t kMaxLine = 4096;

bool is_name_char(char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-'; }

/// One line, taken apart from the left.
class LineParser {
 public:
  explicit LineParser(std::string_view line) : rest_(line) { skip_blanks(); }

  [[nodiscard]] bool at_quote() const { return !rest_.empty() && std::string_view{"\"'`"}.find(rest_.front()) != std::string_view::npos; }
  [[nodiscard]] bool at_end() const { return rest_.empty() || rest_.front() == '#'; }
  std::string_view take_name() {
    const auto end = std::ranges::find_if_not(rest_, is_name_char);
    return take(static_cast<std::size_t>(end - rest_.begin()));
  }
  bool take_equals() {
    if (rest_.empty() || rest_.front() != '=') return false;
    take(1);
    return true;
  }
  /// Value after '='; a quoted one ends at its own quote character, `\` before a quote keeps it open and is dropped.
  base::Result<std::string> take_value() {
    if (at_end()) return base::Error{base::ErrorKind::malformed, "no value behind ="};
    const char quote = rest_.front();
    if (!at_quote()) return std::string{take(std::min(rest_.find_first_of(" \t"), rest_.size()))};
    rest_.remove_prefix(1);
    std::string value;
    while (!rest_.empty() && rest_.front() != quote) {
      if (rest_.front() == '\\' && rest_.size() > 1 && std::string_view{"\"'`"}.find(rest_[1]) != std::string_view::npos) rest_.remove_prefix(1);
      value += rest_.front();
      rest_.remove_prefix(1);
    }
    if (rest_.empty()) return base::Error{base::ErrorKind::malformed, "closing quote missing"};
    take(1);
    return value;
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view take(std::size_t size) {
    const auto taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    skip_blanks();
    return taken;
  }
  void skip_blanks() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size())); }
  std::string_view rest_;
};

class Reader {
 public:
  explicit Reader(Settings& settings, const OptionFile* rules = nullptr) : settings_(settings), rules_(rules) {}

  void file(const std::string& path, const std::string& from, int depth);
  void text(std::string_view text, const std::string& name, int depth);
  std::vector<Problem> take_problems() { return std::move(problems_); }

 private:
  void line(std::string_view line, const std::string& name, const std::string& place, int depth);
  void apply(const Option& row, bool reset, std::string_view name, LineParser& parser, const std::string& place, int depth);
  void report(const std::string& place, const std::string& what) { problems_.push_back({place + ": " + what, rules_ != nullptr}); }
  std::string refusal(const struct stat& status, Scope& may) const;

  Settings& settings_;
  const OptionFile* rules_;  ///< null: a file of the administrator's that may set everything
  Scope may_ = Scope::I;     ///< the highest class that the file being read may set
  int files_ = 0;
  std::vector<Problem> problems_;
};

/// Why an option file must not be read; "" when it may be.
std::string Reader::refusal(const struct stat& status, Scope& may) const {
  if (rules_ == nullptr) return {};
  if (status.st_uid != rules_->user && status.st_uid != rules_->administrator) {
    return fmt::format("belongs to uid {}, and must belong to uid {} or {}", status.st_uid, rules_->user, rules_->administrator);
  }
  if ((status.st_mode & 022U) != 0) return fmt::format("mode {:04o}: others can write it", status.st_mode & 07777U);
  may = status.st_uid == rules_->administrator ? rules_->administrator_may : Scope::N;
  return {};
}

void Reader::file(const std::string& path, const std::string& from, int depth) {
  const std::string context = from.empty() ? std::string{} : from + ": ";
  const auto fail = [&](const std::string& reason) {
    problems_.push_back({fmt::format("{}open configuration file {}: {}", context, base::escape_untrusted(path), reason), rules_ != nullptr});
  };
  if (depth > kMaxDepth) return fail("files are nested more than 100 deep");
  if (++files_ > kMaxFiles) return files_ == kMaxFiles + 1 ? fail("more than 1000 files") : void();
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (rules_ != nullptr ? O_NOFOLLOW : 0);
  base::UniqueFd fd{::open(path.c_str(), flags)};
  if (!fd.valid()) {
    if (rules_ != nullptr && depth == 0 && errno == ENOENT) return;
    return fail(errno == ELOOP ? "a symbolic link" : std::strerror(errno));
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return fail("not a regular file");
  Scope may = Scope::I;
  if (const auto reason = refusal(status, may); !reason.empty()) return fail(reason);
  if (rules_ == nullptr && ((status.st_mode & 022U) != 0 || (status.st_uid != 0 && status.st_uid != ::geteuid()))) {
    problems_.push_back({fmt::format("{}configuration file {}: uid {} owns it, mode {:04o}: others than root can change it", context,
                                     base::escape_untrusted(path), status.st_uid, status.st_mode & 07777U),
                         true});
  }
  const std::size_t most = rules_ == nullptr ? kMaxFile : kMaxOptionFile;
  const auto content = base::read_whole(fd.get(), most);
  if (!content) return fail(content.error().kind() == base::ErrorKind::limit ? fmt::format("longer than {} KiB", most / 1024) : content.error().detail());
  const Scope outer = std::exchange(may_, may);
  text(*content, path, depth);
  may_ = outer;
}

void Reader::text(std::string_view text, const std::string& name, int depth) {
  for (int number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    auto one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (one.ends_with('\r')) one.remove_suffix(1);
    line(one, name, fmt::format("{} line {}", name, number), depth);
  }
}

void Reader::line(std::string_view line, const std::string& name, const std::string& place, int depth) {
  if (line.size() > kMaxLine) return report(place, "line is longer than 4096 octets");
  LineParser parser{line};
  if (parser.at_end()) return;
  const auto verb = parser.take_name();
  const bool reset = base::equal_ignoring_case(verb, "reset");
  if (!reset && !base::equal_ignoring_case(verb, "set")) {
    return report(place, fmt::format("expected \"set\" or \"reset\", found \"{}\"", base::escape_untrusted(line, 80)));
  }
  const auto option_name = parser.take_name();
  const Option* row = find_option(option_name);
  if (row == nullptr) {
    const auto nearest = nearest_option(option_name);
    return report(place, fmt::format("unknown option \"{}\"{}; see qpopper.config(5)",
                                     base::escape_untrusted(option_name.empty() ? parser.rest() : option_name, 80),
                                     nearest.empty() ? std::string{} : fmt::format("; is {} meant?", nearest)));
  }
  apply(*row, reset, name, parser, place, depth);
}

void Reader::apply(const Option& row, bool reset, std::string_view name, LineParser& parser, const std::string& place, int depth) {
  std::string value;
  bool bare = false;
  if (parser.take_equals()) {
    bare = !parser.at_quote();
    auto taken = parser.take_value();
    if (!taken) return report(place, fmt::format("{}: {}", row.name, taken.error().detail()));
    value = std::move(*taken);
  } else if (!parser.at_end()) {
    return report(place, fmt::format("{}: \"=\" expected, found \"{}\"", row.name, base::escape_untrusted(parser.rest(), 80)));
  } else if (row.type == Type::boolean) {
    value = reset ? "false" : "true";
  } else {
    return report(place, fmt::format("{}: {}", row.name, reset ? "only a true-or-false option can be reset" : "needs a value: set name = value"));
  }
  if (!parser.at_end()) {
    const auto hint = bare ? fmt::format("; a value with blanks stands in quotes: set {} = \"{} ...\"", row.name, base::escape_untrusted(value, 80)) : std::string{};
    return report(place, fmt::format("{}: expected comment or end of line, found \"{}\"{}", row.name, base::escape_untrusted(parser.rest(), 80), hint));
  }
  if (row.scope > may_) return report(place, fmt::format("{} may not be set in this file; skipped", row.name));
  if (rules_ != nullptr && is_settled_before_option_files(row)) return report(place, fmt::format("{} has no effect in this file; skipped", row.name));
  if (row.id == Opt::config_file) {
    const auto slash = name.rfind('/');
    const bool relative = !value.starts_with('/') && slash != std::string_view::npos;
    return file(relative ? std::string{name.substr(0, slash + 1)} + value : value, place, depth + 1);
  }
  if (auto set = settings_.set(row, value, place); !set) {
    return report(place, fmt::format("{} = \"{}\": {} (qpopper.config(5))", row.name, base::escape_untrusted(value, 80), set.error().detail()));
  }
  if (row.obsolete) problems_.push_back({fmt::format("{}: {} is obsolete and does nothing. {}", place, row.name, row.manual), true});
}

}  // namespace

std::vector<Problem> read_file(const std::string& path, Settings& settings) {
  Reader reader{settings};
  reader.file(path, {}, 0);
  return reader.take_problems();
}

std::vector<Problem> read_text(std::string_view text, const std::string& name, Settings& settings) {
  Reader reader{settings};
  reader.text(text, name, 0);
  return reader.take_problems();
}

std::vector<Problem> read_option_file(const OptionFile& file, Settings& settings) {
  Reader reader{settings, &file};
  reader.file(file.path, {}, 0);
  return reader.take_problems();
}

bool has_errors(const std::vector<Problem>& problems) {
  return std::ranges::any_of(problems, [](const Problem& problem) { return !problem.warning; });
}

}  // namespace qpop::config
