// SPDX-License-Identifier: MIT
// Runs as: root, or the user who started the server.
// Source: dlopen(3), dlsym(3).
#include "popper/checker/pam_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace qpop::checker {

namespace {

constexpr const char* kName = "libpam.so.0";

base::Error last_error() {
  const char* const text = ::dlerror();
  return base::Error{base::ErrorKind::not_found, fmt::format("{} cannot be loaded: {}", kName, text == nullptr ? "no reason given" : text)};
}

base::Result<PamLibrary> load() {
  void* const library = ::dlopen(kName, RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return last_error();
  PamLibrary out;
  bool complete = true;
  const auto find = [&](auto& function, const char* name) {
    void* const found = ::dlsym(library, name);
    complete = complete && found != nullptr;
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(found);
  };
  find(out.start, "pam_start");
  find(out.end, "pam_end");
  find(out.authenticate, "pam_authenticate");
  find(out.acct_mgmt, "pam_acct_mgmt");
  find(out.set_item, "pam_set_item");
  find(out.get_item, "pam_get_item");
  find(out.strerror, "pam_strerror");
  if (!complete) return last_error();
  return out;
}

}  // namespace

base::Result<const PamLibrary*> pam_library() {
  static const base::Result<PamLibrary> library = load();
  if (!library) return library.error();
  return &*library;
}

}  // namespace qpop::checker
