// SPDX-License-Identifier: MIT
// The one table of options: file reader, command line, --help, --print-config, conf/qpopper.config and the option section of
// man/qpopper.config.5 are all made from it.
//
// Source: the options of the original's manual (names, letters, values), design decisions for the new ones.
#pragma once

#include <array>
#include <cstddef>

#include "common/config/rows_accounts.h"
#include "common/config/rows_bulletins.h"
#include "common/config/rows_log.h"
#include "common/config/rows_mail.h"
#include "common/config/rows_obsolete.h"
#include "common/config/rows_protocol.h"
#include "common/config/rows_server.h"
#include "common/config/rows_tls.h"

namespace qpop::config {

/// Value of an option of type days that has no end.
inline constexpr std::string_view kNever = "never";

namespace detail {
template <std::size_t... Sizes>
constexpr auto join_rows(const std::array<Option, Sizes>&... topics) {
  std::array<Option, (Sizes + ...)> all{};
  std::size_t at = 0;
  const auto append = [&](const auto& rows) {
    for (const Option& row : rows) all.at(at++) = row;
  };
  (append(topics), ...);
  return all;
}
}  // namespace detail

inline constexpr auto kOptions =
    detail::join_rows(kServerRows, kAccountsRows, kTlsRows, kMailRows, kBulletinsRows, kProtocolRows, kLogRows, kObsoleteRows);

[[nodiscard]] constexpr const Option& option(Opt id) { return kOptions.at(static_cast<std::size_t>(id)); }

namespace detail {
constexpr bool table_is_sound() {
  if (kOptions.size() != static_cast<std::size_t>(Opt::count_)) return false;
  for (std::size_t i = 0; i < kOptions.size(); ++i) {
    const Option& row = kOptions.at(i);
    if (static_cast<std::size_t>(row.id) != i || row.summary.empty() || row.manual.empty()) return false;
    if (row.type == Type::mnemonic && row.mnemonics.find(row.preset) == std::string_view::npos) return false;
    if (row.type == Type::integer || row.type == Type::seconds || (row.type == Type::days && row.preset != kNever)) {
      std::int64_t value = 0;
      for (const char digit : row.preset) value = value * 10 + (digit - '0');
      if (value < row.least || value > row.most) return false;
    }
  }
  return true;
}

/// Of the classes that users or their administrator may set.
constexpr std::array kSettledFirst{Opt::user_options, Opt::spool_options, Opt::reverse_lookup, Opt::clear_text_password,
                                   Opt::downcase_user, Opt::trim_domain, Opt::no_atomic_open, Opt::check_hash_dir};
}  // namespace detail
static_assert(detail::table_is_sound(), "every row in enum order, with summary, manual and a default within its bounds");

/// Settled before the option files of a user are read, or by a process that never sees them: without effect there, whatever its class says.
[[nodiscard]] constexpr bool is_settled_before_option_files(const Option& row) {
  for (const Opt id : detail::kSettledFirst) {
    if (row.id == id) return true;
  }
  return row.scope == Scope::I;
}

}  // namespace qpop::config
