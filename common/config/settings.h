// SPDX-License-Identifier: MIT
// Values of all options, each with the place it came from.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/config/options.h"

namespace qpop::config {

/// Row whose name matches (ASCII case ignored), or nullptr.
[[nodiscard]] const Option* find_option(std::string_view name);
/// Name of the option that `name` was probably meant to be, or "".
[[nodiscard]] std::string_view nearest_option(std::string_view name);

/// The place of values that no file gave.
inline constexpr std::string_view kCommandLine = "command line";

class Settings {
 public:
  Settings();

  /// Checks `value` against the row and stores it; lists grow, everything else is replaced.
  /// `source` ends up in --print-config, for example "qpopper.config line 3".
  /// Errors: malformed (says what is wrong with the value, in words), limit (out of bounds).
  base::Status set(const Option& row, std::string_view value, std::string_view source);

  [[nodiscard]] bool boolean(Opt id) const;
  /// Integers, seconds as seconds, days with -1 for never.
  [[nodiscard]] std::int64_t number(Opt id) const;
  /// Text and mnemonics (lower case).
  [[nodiscard]] const std::string& text(Opt id) const;
  [[nodiscard]] const std::vector<std::string>& list(Opt id) const;
  /// Position of a mnemonic in its row.
  [[nodiscard]] std::size_t choice(Opt id) const;
  /// Where the value was set; of a list, where its last one was.
  [[nodiscard]] const std::string& source(Opt id) const;
  /// Of the value at `index` of list().
  [[nodiscard]] const std::string& source(Opt id, std::size_t index) const { return value(id).sources.at(index); }

 private:
  struct Value {
    std::vector<std::string> texts;
    std::vector<std::string> sources;  ///< as many
  };
  [[nodiscard]] const Value& value(Opt id) const { return values_.at(static_cast<std::size_t>(id)); }
  std::array<Value, kOptions.size()> values_;
};

/// A value in the one form that is stored: "true"/"false", decimal, lower-case mnemonic, text as it is.
[[nodiscard]] base::Result<std::string> normalise(const Option& row, std::string_view value);

}  // namespace qpop::config
