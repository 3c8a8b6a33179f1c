// SPDX-License-Identifier: MIT
// libpam, loaded by the process that asks it.
//
// Why not linked: all processes of the server are forked from one, and each library in it makes every fork and every exit dearer. Only the
// process that starts checkers needs PAM and what PAM brings along.
#pragma once

#include <security/pam_appl.h>

#include <string>

#include "common/base/result.h"

namespace qpop::checker {

/// The functions of pam_appl.h that are called here.
struct PamLibrary {
  decltype(&::pam_start) start = nullptr;
  decltype(&::pam_end) end = nullptr;
  decltype(&::pam_authenticate) authenticate = nullptr;
  decltype(&::pam_acct_mgmt) acct_mgmt = nullptr;
  decltype(&::pam_set_item) set_item = nullptr;
  decltype(&::pam_get_item) get_item = nullptr;
  decltype(&::pam_strerror) strerror = nullptr;
};

/// Errors: not_found: no such library, or one without these functions; the detail says which.
[[nodiscard]] base::Result<PamLibrary> load_pam(const char* name);

/// That of the system, loaded at the first call, for the life of the process. Errors: as load_pam().
[[nodiscard]] base::Result<const PamLibrary*> pam_library();

}  // namespace qpop::checker
