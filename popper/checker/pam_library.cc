// SPDX-License-Identifier: MIT
// Runs as: root, or the user who started the server.
// Source: dlopen(3), dlsym(3).
#include "popper/checker/pam_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <type_traits>

namespace qpop::checker {

base::Result<PamLibrary> load_pam(const char* name) {
  const auto missing = [name](std::string_view why) { return base::Error{base::ErrorKind::not_found, fmt::format("{} cannot be used: {}", name, why)}; };
  void* const library = ::dlopen(name, RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return missing(::dlerror());
  PamLibrary out;
  std::string_view lacks;
  const auto find = [&](auto& function, const char* symbol) {
    void* const found = ::dlsym(library, symbol);
    if (found == nullptr) lacks = symbol;
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(found);
  };
  find(out.start, "pam_start");
  find(out.end, "pam_end");
  find(out.authenticate, "pam_authenticate");
  find(out.acct_mgmt, "pam_acct_mgmt");
  find(out.set_item, "pam_set_item");
  find(out.get_item, "pam_get_item");
  find(out.strerror, "pam_strerror");
  if (!lacks.empty()) return missing(fmt::format("it has no {}", lacks));
  return out;
}

base::Result<const PamLibrary*> pam_library() {
  static const base::Result<PamLibrary> library = load_pam("libpam.so.0");
  if (!library) return library.error();
  return &*library;
}

}  // namespace qpop::checker
