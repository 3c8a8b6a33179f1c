// SPDX-License-Identifier: MIT
// Where the mail of a user lies, by the options that say so. Pure: looks at no file.
// Source: the original's hash-spool, home-dir-mail, temp-dir, temp-name, check-old-spool-loc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/config/settings.h"

namespace qpop::config {

struct PlacedFile {
  std::string folder;
  std::string name;
  friend bool operator==(const PlacedFile&, const PlacedFile&) = default;
};

struct Placement {
  PlacedFile spool;
  std::string root;                          ///< spool-dir or the home folder: what lies below it is made from the user's name
  std::vector<PlacedFile> temporary_drops;  ///< where Qpopper may have left one
  friend bool operator==(const Placement&, const Placement&) = default;
};

/// "" for method 0, "a" to "z" for 1, "u/s" for 2. `user` is a checked name: not empty, no slash, no dot in front.
[[nodiscard]] std::string hash_folder(std::int64_t method, std::string_view user);

/// `home` is empty for accounts without one; then home-dir-mail does not count.
[[nodiscard]] Placement place(const Settings& settings, const std::string& user, const std::string& home);

/// File name from a pattern with one %s; empty when the pattern is no such name.
[[nodiscard]] std::string expand_name(std::string_view pattern, std::string_view user);

/// Whether a value of home-dir-mail or of temp-name is a plain file name.
[[nodiscard]] bool is_file_name(std::string_view name);

}  // namespace qpop::config
