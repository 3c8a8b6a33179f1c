// SPDX-License-Identifier: MIT
// Where mail lies.
#include "common/config/placement.h"

#include <algorithm>

#include "common/base/text.h"

namespace qpop::config {

namespace {

constexpr std::size_t kSummed = 5;
constexpr unsigned kLetters = 26;

std::string join(const std::string& folder, const std::string& below) { return below.empty() ? folder : folder + "/" + below; }

void add(std::vector<PlacedFile>& files, PlacedFile file) {
  if (!file.name.empty() && std::ranges::find(files, file) == files.end()) files.push_back(std::move(file));
}

}  // namespace

bool is_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= 200 && name.find('/') == std::string_view::npos;
}

std::string hash_folder(std::int64_t method, std::string_view user) {
  if (method == 1) {
    unsigned sum = 0;
    for (const char c : user.substr(0, kSummed)) sum += static_cast<unsigned char>(c);
    return {static_cast<char>('a' + static_cast<int>(sum % kLetters))};
  }
  if (method == 2 && !user.empty()) return {user[0], '/', user.size() > 1 ? user[1] : user[0]};
  return {};
}

std::string expand_name(std::string_view pattern, std::string_view user) {
  const auto at = pattern.find("%s");
  // Not a format: nothing but one %s, whatever a configuration says.
  if (at == std::string_view::npos || pattern.find('%', at + 1) != std::string_view::npos || pattern.find('%') != at) return {};
  std::string name{pattern.substr(0, at)};
  name.append(user).append(pattern.substr(at + 2));
  return is_file_name(name) ? name : std::string{};
}

Placement place(const Settings& settings, const std::string& user, const std::string& home) {
  Placement out;
  const auto& in_home = settings.text(Opt::home_dir_mail);
  const bool at_home = is_file_name(in_home) && !home.empty();
  const auto hash = hash_folder(settings.number(Opt::hash_spool), user);
  const std::string spool_dir{base::without_end_slashes(settings.text(Opt::spool_dir))};
  out.root = at_home ? home : spool_dir;
  out.spool = {join(out.root, hash), at_home ? in_home : user};
  const std::string temp_dir{base::without_end_slashes(settings.text(Opt::temp_dir))};
  const auto drop = expand_name(settings.text(Opt::temp_name), user);
  add(out.temporary_drops, {join(temp_dir.empty() ? spool_dir : temp_dir, hash), drop});
  if ((at_home || !hash.empty()) && settings.boolean(Opt::check_old_spool_loc)) add(out.temporary_drops, {spool_dir, drop});
  return out;
}

}  // namespace qpop::config
