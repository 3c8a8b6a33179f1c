// SPDX-License-Identifier: MIT
// Announcements to all users: which of them one user has not got yet, and in which form he gets them.
// Runs as: the owner of the mail, before it closes the file system to itself.
// Source: the original's rules for bulldir, max-bulletins, group-bulletins and .popbull.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/config/settings.h"
#include "common/files/file_system.h"
#include "popper/maildrop/maildrop.h"

namespace qpop::maildrop {

/// In the state folder: the number of the last bulletin that was delivered.
inline constexpr const char* kBulletinName = "bulletin";

/// No bulletin has a higher one: a date with seconds fits.
inline constexpr std::uint64_t kMostNumber = 4'000'000'000'000;

struct Bulletins {
  std::string messages;               ///< to be appended, mbox; empty: none
  std::optional<std::uint64_t> last;  ///< to be kept as the number of the last one; nothing when it is that already
};

[[nodiscard]] Bulletins gather_bulletins(const config::Settings& settings, const Job& job);

/// Makes `number` that of the last bulletin the user got, unless the next login would find one that is as high already, here or in a
/// .popbull. False: it would, and nothing was written. A crash leaves the old number or the new one.
/// Precondition: the session lock of `state_folder` is held, which is job.state_folder.
/// Errors: those of the file system; unsafe: what stands in the number's place is no file of the user.
[[nodiscard]] base::Result<bool> raise_number(files::FileSystem& fs, int state_folder, const config::Settings& settings, const Job& job, std::uint64_t number);

/// One bulletin as `address` gets it: To: replaced, Status: and X-UIDL: dropped, an empty line at its end.
/// Errors: malformed: the first line is no From_ line.
[[nodiscard]] base::Result<std::string> address_bulletin(std::string_view text, std::string_view address);

/// Content of a .popbull, or nothing when there is none, to the number of the last bulletin; `newest` of those that exist.
[[nodiscard]] std::uint64_t last_seen(const std::optional<std::string>& popbull, std::uint64_t newest, std::uint64_t max_bulletins);

}  // namespace qpop::maildrop
